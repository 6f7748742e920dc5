import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { pythonOf, startAlone, startPlugin } from '../../../local/pool/start-plugin.ts';
import { until } from './a-pool.ts';

/** Does what the first word of its argument says. */
const PLUGIN = `#!/usr/bin/env python3
import atexit, json, os, signal, sys, threading, time

what = sys.argv[1].split()[0]


def here(name):
    return os.path.join(os.environ['XENSNAP_DOM0_ROOT'], name)


def files():
    for name in sorted(os.listdir('/proc/self/fd'), key=int):
        try:
            yield name, os.path.basename(os.readlink('/proc/self/fd/' + name))
        except OSError:
            pass  # the one that has read the list


def touch_later(name):
    time.sleep(0.05)
    open(here(name), 'w').close()


if what == 'tell':
    with open('/proc/self/environ') as shown:
        marked = 'XENSNAP_DOM0_ROOT=' + os.environ['XENSNAP_DOM0_ROOT'] in shown.read().split('\\0')
    with open('/proc/self/cmdline') as shown:
        shown = shown.read()
    print(json.dumps({
        'argv': sys.argv, 'names': sorted(set(globals()) & {'__name__', '__file__', '__builtins__', 'code', 'names'}),
        'name': __name__, 'file': __file__, 'path': sys.path, 'environment': dict(os.environ), 'marked': marked,
        'named': __file__ in shown, 'told': sys.argv[1] in shown, 'files': list(files()),
        'group': os.getpgid(0) == os.getpid(), 'session': os.getsid(0) == os.getpid(), 'folder': os.getcwd(),
        'mask': os.umask(0), 'nice': os.nice(0), 'input': sys.stdin.read(), 'threads': threading.active_count(),
        'signals': [repr(signal.getsignal(number)).split(' at ')[0] for number in range(1, 32)],
        'blocked': sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), 'wakes': signal.set_wakeup_fd(-1),
        'encodings': [sys.stdout.encoding, sys.stderr.encoding, sys.getfilesystemencoding()],
    }))
elif what == 'leave':
    print('out')
    sys.stderr.write('err\\n')
    sys.exit({'nothing': None, 'three': 3, 'minus': -1, 'text': 'a text', 'truth': True}[sys.argv[1].split()[1]])
elif what == 'raise':
    {}['missing']
elif what == 'interrupt':
    raise KeyboardInterrupt
elif what == 'kill':
    sys.stdout.write('lost')
    os.kill(os.getpid(), int(sys.argv[1].split()[1]))
elif what == 'end':
    atexit.register(lambda: print('at exit'))
    threading.Thread(target=lambda: (time.sleep(0.05), print('a thread'))).start()
    print('main')
elif what == 'daemon':
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            touch_later('daemon')
        os._exit(0)
    print(os.waitpid(-1, 0)[1])
elif what == 'wait':
    print(json.dumps([os.getpid(), os.getppid()]))
    sys.stdout.flush()
    while not os.path.exists(here('go')):
        time.sleep(0.01)
    open(here('gone'), 'w').close()
`;

const STARTS = {
  forked: startPlugin,
  alone: async (call: Parameters<typeof startPlugin>[0]) => startAlone(call, await pythonOf(call.file)),
};

/** A Python plugin's process is forked, or starts its interpreter. */
export type Way = keyof typeof STARTS;

export const WAYS = Object.keys(STARTS) as Way[];

/** What it takes to start a plugin of that text in a folder of its own, which is gone with the test. */
export async function aCall(argument: string, text = PLUGIN) {
  const dom0Root = await mkdtemp(join(tmpdir(), 'start-'));
  onTestFinished(() => rm(dom0Root, { recursive: true, maxRetries: 5 }));
  const file = join(dom0Root, 'plugin');
  await writeFile(file, text, { mode: 0o755 });
  return { file, argument, dom0Root, stdout: join(dom0Root, 'stdout'), stderr: join(dom0Root, 'stderr') };
}

export async function start(way: Way, argument: string, text?: string) {
  const call = await aCall(argument, text);
  return { ...call, process: await STARTS[way](call) };
}

/** How a plugin ends, and what it writes; the folder's name and the runner's own lines left out. */
export async function run(way: Way, argument: string, text?: string) {
  const { process, dom0Root, stdout, stderr } = await start(way, argument, text);
  const [code, signal] = await process.ended;
  const errors = await readFile(stderr, 'utf8');
  const [, own = errors] = errors.split('  File "plugin", ');
  return { code, signal, stdout: (await readFile(stdout, 'utf8')).replaceAll(dom0Root, 'ROOT'), stderr: own };
}

/** The plugin's own process id and its parent's, once it waits. */
export async function ids({ stdout }: { readonly stdout: string }): Promise<[pid: number, parent: number]> {
  const output = () => readFile(stdout, 'utf8').catch(() => '');
  await until(async () => (await output()).endsWith('\n'));
  return JSON.parse(await output());
}

/** The letter that the kernel has for what a process does; Z for one that is gone. */
export async function stateOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
  return stat.split(') ')[1]?.[0];
}
