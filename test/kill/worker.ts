import type { Cell } from './cells/cell.ts';
import { isSpent, runCell, type Verdict } from './run/cell.ts';
import { openStage, type Stage, stageOf } from './run/stage.ts';

/** Real seconds after which a cell counts as one that never ends. */
const CELL_SECONDS = 240;

let stage: Stage | undefined;

/** Runs one cell on the world that is open, or on a new one where that is of another kind, or spent. */
export async function run(cell: Cell): Promise<Verdict & { readonly logs: readonly string[] }> {
  const kind = stageOf(cell);
  if (stage && stage.kind !== kind) await closeStage();
  stage ??= await openStage(kind);
  const { world } = stage;
  const logs: string[] = [];
  const push = world.logs.push.bind(world.logs);
  world.logs.push = (...lines) => {
    logs.push(...lines);
    return push(...lines);
  };
  const began = Date.now();
  const timer = Promise.withResolvers<Verdict>();
  const tooLong = setTimeout(() => {
    const wrong = [`it was not over after ${CELL_SECONDS} s, in ${stage?.doing}`];
    timer.resolve({ id: cell.id, fired: true, wrong, outcome: 'hangs', seconds: CELL_SECONDS });
  }, CELL_SECONDS * 1000);
  const broken = (error: unknown): Verdict => ({
    ...{ id: cell.id, fired: true, wrong: [`the run broke: ${(error as Error).stack ?? error}`] },
    ...{ outcome: 'broken', seconds: (Date.now() - began) / 1000 },
  });
  const verdict = await Promise.race([runCell(cell, stage).catch(broken), timer.promise]);
  clearTimeout(tooLong);
  world.logs.push = push;
  if (isSpent(cell, verdict.wrong, world)) await closeStage();
  return { ...verdict, logs: verdict.wrong.length > 0 ? logs : [] };
}

/** Ends the world that is open, if there is one; one that does not end is left behind with its process. */
export async function closeStage(): Promise<void> {
  const { world } = stage ?? {};
  stage = undefined;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, 20_000);
  });
  await Promise.race([world?.close().catch(() => undefined), late]);
  clearTimeout(timer);
}

process.on('message', async (cell: Cell | 'end') => {
  if (cell === 'end') {
    await closeStage();
    process.exit(0);
  }
  process.send?.(await run(cell));
});
// Nothing outlives who asked for it.
process.on('disconnect', () => process.exit(0));
// What goes wrong in the depths of a cell is that cell's, and no other's.
process.on('unhandledRejection', (error) => console.error('unhandled:', error));
