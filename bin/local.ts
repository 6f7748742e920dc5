import { EventEmitter } from 'node:events';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { DRIVERS } from '../functions/words.ts';
import { type Access, accessLine, accessOf } from './access.ts';
import { type BackendFlags, checkBackendFlags, glanceOf, poolOf } from './backends.ts';
import { demo } from './demo.ts';
import { UsageFailure } from './failures.ts';
import { examplesText, fingerprint, httpUrl, poolMembers, wholeNumber } from './options.ts';
import { ofFolder, type Server, serveUntilStopped } from './serve.ts';
import { stateFolder } from './state-folder.ts';
import { tellTokenFile } from './token-places.ts';
import { warn } from './warn.ts';

interface LocalFlags extends BackendFlags {
  readonly apiPort: number;
  readonly auth: boolean;
  readonly data?: string;
  readonly demo: boolean;
  readonly once: boolean;
  readonly verbose: boolean;
}

export function localCommand(): Command {
  const port = wholeNumber(0, 65_535);
  return new Command('local')
    .description('Run the whole service on this machine, against a simulated pool or a real one')
    .option('--api-port <port>', "the API's; 0: any free one", port, 8700)
    .option('--pool-port <port>', "the simulated pool's master's; its members take the next ones", port, 8720)
    .option('--glance-port <port>', "the embedded Glance's", port, 8710)
    .option(
      '--data <folder>',
      'keeps the jobs, and the images of the embedded Glance (default: a temporary one)',
    )
    .option('--no-auth', 'ask for no token: whoever reaches the ports may do everything')
    .option(
      '--allow-host <host[:port]>',
      'a further Host under which API and embedded Glance are asked, such as that of a proxy; may be repeated',
      (value: string, before: string[] = []) => [...before, value],
    )
    .option('--hosts <number>', 'hosts of the simulated pool', wholeNumber(1, 16), 2)
    .option('--vms <number>', 'VMs of the simulated pool', wholeNumber(0, 10_000), 6)
    .option('--disk-mib <mib>', 'size of their disks', wholeNumber(1, 1_048_576), 64)
    .option('--slots <number>', 'uploads and downloads at a time on each host', wholeNumber(1, 100), 2)
    .option('--quiesce', 'simulate a release that has VM.snapshot_with_quiesce', false)
    .addOption(
      new Option('--driver <driver>', 'the hypervisor of the pool').choices(DRIVERS).default('xenapi'),
    )
    .option('--no-demo', 'make no demo: no snapshot, and no restore of it')
    .option('--once', 'make the demo, then exit: 0 if it succeeded and left nothing behind', false)
    .option('--verbose', "print the service's log to standard error", false)
    .option(
      '--pool <urls>',
      'a real pool instead: URL of any of its members, or of several, with commas; the pool tells the others',
      poolMembers,
    )
    .option('--user <name>', 'who logs in to it', 'root')
    .option('--password-file <file>', 'with the password in its first line')
    .option(
      '--fingerprint <sha256>',
      "a member's certificate, instead of an authority's word; may be repeated",
      (value: string, before: string[] = []) => [...before, fingerprint(value)],
    )
    .option('--pool-ca-file <file>', 'PEM of the authority that vouches for its certificates')
    .option('--glance <url>', 'a real Glance instead: its endpoint', httpUrl)
    .option('--glance-token-file <file>', 'with a token for it in its first line')
    .option('--glance-ca-file <file>', 'PEM of the authority that vouches for its certificate')
    .option('--glance-fingerprint <sha256>', "its certificate, instead of an authority's word", fingerprint)
    .option('--keystone <url>', 'gives the tokens for Glance, instead of --glance-token-file', httpUrl)
    .option(
      '--glance-credential-file <file>',
      'with an application credential for Keystone: {"id": "…", "secret": "…"}',
    )
    .option('--keystone-ca-file <file>', 'PEM of the authority that vouches for its certificate')
    .option('--keystone-fingerprint <sha256>', "its certificate, instead of an authority's word", fingerprint)
    .addHelpText(
      'after',
      examplesText([
        'local',
        'local --once',
        'local --no-demo --hosts 3 --vms 20 --slots 1',
        'local --pool https://xen1.example.com --password-file pw --glance https://glance.example.com:9292 ' +
          '--keystone https://keystone.example.com:5000 --glance-credential-file credential.json',
      ]),
    )
    .action(runLocal);
}

async function runLocal(flags: LocalFlags): Promise<void> {
  checkBackendFlags(flags);
  if (flags.once && (flags.pool !== undefined || flags.driver === 'libvirt'))
    throw new UsageFailure('--once makes the demo, which needs the simulated pool');
  const dataDir = dataFolder(flags);
  // Before the folder is made private: a token that others could read until now is none.
  const access = await accessOf(flags.auth, dataDir).catch((error) => {
    throw ofFolder(dataDir ?? stateFolder(), error);
  });
  await serveUntilStopped(dataDir, (folder, signal) => startAll(flags, access, folder, signal), {
    once: flags.once,
    portFlag: (port) =>
      port === flags.apiPort ? '--api-port' : port === flags.glancePort ? '--glance-port' : '--pool-port',
  });
}

/** Undefined where all of it may be forgotten. A service on a real pool must know which snapshots are its own. */
function dataFolder({ data, pool }: LocalFlags): string | undefined {
  return data ?? (pool === undefined ? undefined : join(stateFolder(), hostname()));
}

/** How many jobs are named that still owe something when the service stops. */
const MOST_TOLD = 5;

/** As much of a job as tells whose it is and what it owes. */
interface Owing {
  readonly id: string;
  /** Of a job that is about a VM which is there. */
  readonly vmName?: string;
  readonly debts?: ReadonlySet<string>;
}

/** The jobs that a stopping service undoes, each with its VM and what it owes. */
function named(jobs: readonly Owing[]): string {
  const each = jobs.slice(0, MOST_TOLD).map(({ id, vmName, debts }) => {
    const owed = debts === undefined ? '' : `, which owes ${[...debts].join(', ')}`;
    return `the job ${id}${vmName === undefined ? '' : ` of "${vmName}"`}${owed}`;
  });
  return `${each.join('; ')}${jobs.length > MOST_TOLD ? '; and more' : ''}`;
}

/** What jobs have left although the service stops, and who looks after it. */
function leftText(jobs: readonly Owing[], folder: string | undefined): string {
  const next =
    folder === undefined
      ? 'Without --data nothing remembers it: remove it by hand'
      : 'The next start with this folder goes on with it';
  return `not all could be undone: ${named(jobs)}. ${next}`;
}

async function startAll(
  flags: LocalFlags,
  access: Access,
  dataDir: string,
  signal: AbortSignal,
): Promise<{ server: Server; lines: string[] }> {
  const closers: (() => Promise<void>)[] = [];
  const server = {
    async close() {
      const failures: unknown[] = [];
      // Whatever one fails with, a table on a full disk say, the others end too: or the process would go on for ever.
      for (const closer of closers.splice(0).reverse())
        await closer().catch((error: unknown) => failures.push(error));
      if (failures.length > 0) throw failures[0];
    },
  };
  try {
    const glance = await glanceOf(flags, dataDir, closers, access?.token);
    const { pool, simulated, lines } = await poolOf(flags, dataDir, closers);
    const { startService } = await import('../local/service.ts');
    const states = new EventEmitter<{ state: [jobId: string, state: string] }>();
    const service = await startService({
      dataDir: join(dataDir, 'service'),
      pools: [pool],
      glance,
      apiPort: flags.apiPort,
      token: access?.token ?? 'none',
      hosts: flags.allowHost ?? [],
      tell: warn,
      onState: (jobId, state) => states.emit('state', jobId, state),
      ...(flags.verbose && { logLine: (line: string) => process.stderr.write(`${line}\n`) }),
    });
    closers.push(() => service.close());
    closers.push(async () => {
      const { jobs } = service.runtime.store;
      const { items } = await jobs.openPage({ limit: MOST_TOLD + 1 });
      if (items.length > 0) warn(`stopping: this is undone first, for a minute at most: ${named(items)}`);
      await service.drain();
      const left = await jobs.openPage({ limit: MOST_TOLD + 1 });
      if (left.items.length > 0) warn(leftText(left.items, dataFolder(flags)));
    });
    await service.check();
    // What fell due while nothing ran waits for no round: one that is killed again before it would never begin anything.
    const ticked = service
      .tick()
      .catch((error: unknown) =>
        warn(`the schedules failed: ${error instanceof Error ? error.message : error}`),
      );
    closers.push(() => ticked);
    if (simulated && flags.demo)
      await demo(
        { service, tokenFile: access?.file, pool: simulated, poolName: pool.name, states, signal },
        process.stdout,
      );
    if (access && !flags.once) closers.push(await tellTokenFile(service.apiUrl, access.file, warn));
    return {
      server,
      lines: [`api ${service.apiUrl}`, ...lines, `glance ${glance.url}`, ...accessLine(access)],
    };
  } catch (error) {
    await server.close();
    throw error;
  }
}
