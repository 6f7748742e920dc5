import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Cell } from './cells/cell.ts';
import type { Verdict } from './run/cell.ts';
import { STAGES, type StageKind, stageOf } from './run/stage.ts';

const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));
/** With which kinds of worlds the workers begin: those that mostly wait beside those that mostly work. */
const FIRST: readonly StageKind[] = ['slow', 'fast', 'hosts', 'fast', 'real'];

/** What a world keeps in files, its table above all, is for a minute: in memory it costs no waiting for a disk. */
const IN_MEMORY = '/dev/shm';
const ENVIRONMENT = { ...process.env, ...(existsSync(IN_MEMORY) && { TMPDIR: IN_MEMORY }) };

export type Told = Verdict & { readonly logs: readonly string[] };

/**
 * Runs cells in processes of their own, in the order given, each on a world of a kind that its worker has already, as
 * far as that goes.
 * @param until no cell is begun after that time, in milliseconds of the epoch
 */
export async function runInWorkers(
  cells: readonly Cell[],
  { workers, until, onVerdict }: { workers: number; until: number; onVerdict: (told: Told) => void },
): Promise<void> {
  const waiting = new Map<StageKind, Cell[]>(STAGES.map((kind) => [kind, []]));
  for (const cell of cells) waiting.get(stageOf(cell))?.push(cell);
  const next = (kind: StageKind): Cell | undefined => {
    if (Date.now() > until) return undefined;
    const longest = [...waiting.values()].toSorted((one, other) => other.length - one.length)[0];
    const own = waiting.get(kind);
    return (own && own.length > 0 ? own : longest)?.shift();
  };
  const work = async (first: StageKind) => {
    let kind = first;
    let child: ChildProcess | undefined;
    for (let cell = next(kind); cell; cell = next(kind)) {
      kind = stageOf(cell);
      child ??= fork(WORKER, { execArgv: ['--max-semi-space-size=16'], env: ENVIRONMENT });
      const told = await ask(child, cell);
      if (!told) child = undefined;
      onVerdict(told ?? ended(cell));
    }
    if (!child) return;
    const exit = once(child, 'exit');
    child.send('end');
    const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
    await exit;
    clearTimeout(timer);
  };
  await Promise.all(
    Array.from({ length: workers }, (_, index) => work(FIRST[index % FIRST.length] ?? 'fast')),
  );
}

/** A cell's verdict; undefined when its process has ended over it. */
async function ask(child: ChildProcess, cell: Cell): Promise<Told | undefined> {
  const over = new AbortController();
  const { signal } = over;
  try {
    const told = once(child, 'message', { signal }).then(([message]) => message as Told);
    const exit = once(child, 'exit', { signal }).then(() => undefined);
    child.send(cell);
    return await Promise.race([told, exit]);
  } finally {
    over.abort();
  }
}

function ended({ id }: Cell): Told {
  return { id, fired: true, wrong: ['its process ended'], outcome: 'ended', seconds: 0, logs: [] };
}
