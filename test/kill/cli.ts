import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { Cell } from './cells/cell.ts';
import { enumerate } from './cells/enumerate.ts';
import { record } from './cells/record.ts';
import { shuffled } from './cells/shuffled.ts';
import { writeDocument } from './document.ts';
import { runInWorkers, type Told } from './workers.ts';

const HELP = `npm run test:kill -- [options]

  --all            every cell (the default is --minutes 5)
  --minutes N      as many cells as are begun in N minutes, in the seed's order
  --seed S         the order; by default of the date and the commit
  --cell ID        that one alone, with what the service logged
  --only TEXT,…    those whose id has one of these in it
  --list           prints the ids and runs nothing
  --workers N      processes; one more than twice the cores by default
  --out FILE       writes the matrix there; docs/kill-matrix.md with --all
  --logs           prints what the service logged in each red cell
  --help`;

const { values } = parseArgs({
  options: {
    all: { type: 'boolean' },
    minutes: { type: 'string' },
    seed: { type: 'string' },
    cell: { type: 'string' },
    only: { type: 'string' },
    list: { type: 'boolean' },
    workers: { type: 'string' },
    out: { type: 'string' },
    logs: { type: 'boolean' },
    help: { type: 'boolean' },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit(0);
}

/** Runs what was asked for; answers how many cells are red. */
async function main(): Promise<number> {
  const commit = git('rev-parse', '--short=12', 'HEAD');
  const seed = values.seed ?? `${new Date().toISOString().slice(0, 10)}-${commit}`;
  const cells = shuffled(selected(enumerate(await record())), seed);
  if (values.list) {
    for (const id of cells.map((cell) => cell.id).toSorted()) console.log(id);
    console.log(`${cells.length} cells`);
    return 0;
  }
  const whole = values.all || values.cell !== undefined || (values.only !== undefined && !values.minutes);
  const until = whole ? Number.POSITIVE_INFINITY : Date.now() + Number(values.minutes ?? 5) * 60_000;
  const workers = Number(values.workers ?? 2 * availableParallelism() + 1);
  console.log(`${cells.length} cells, ${workers} workers, seed ${seed}`);
  const began = Date.now();
  const verdicts: Told[] = [];
  const show = setInterval(() => console.log(counts(verdicts)), 15_000);
  await runInWorkers(cells, {
    workers: Math.min(workers, cells.length),
    until,
    onVerdict(told) {
      verdicts.push(told);
      const { id, fired, wrong, outcome, seconds, logs } = told;
      if (wrong.length > 0)
        console.log(`RED ${id} (${outcome}, ${seconds.toFixed(1)} s)\n  ${wrong.join('\n  ')}`);
      else if (!fired) console.log(`not come to: ${id} (${outcome})`);
      else if (values.cell) console.log(`green ${id} (${outcome}, ${seconds.toFixed(1)} s)`);
      if (wrong.length > 0 && (values.logs || values.cell)) console.log(logs.join('\n'));
    },
  });
  clearInterval(show);
  const took = (Date.now() - began) / 1000;
  const out = values.out ?? (values.all ? 'docs/kill-matrix.md' : undefined);
  if (out) await writeDocument(out, { cells, verdicts, commit, seed, seconds: took });
  console.log(`${counts(verdicts)}, in ${(took / 60).toFixed(1)} minutes`);
  const red = verdicts.filter(({ wrong }) => wrong.length > 0).length;
  const missed = verdicts.filter(({ wrong, fired }) => wrong.length === 0 && !fired).length;
  if (missed > 0) console.log(`${missed} cells were not come to: their call was not made`);
  console.log(`${verdicts.length - red - missed} passed, ${red} failed`);
  return red;
}

function counts(verdicts: readonly Told[]): string {
  const red = verdicts.filter(({ wrong }) => wrong.length > 0).length;
  return `${verdicts.length} cells, ${verdicts.length - red} green, ${red} red`;
}

function selected(all: readonly Cell[]): readonly Cell[] {
  const { cell, only } = values;
  const found = all.filter(({ id }) =>
    cell !== undefined
      ? id === cell
      : only === undefined || only.split(',').some((text) => id.includes(text)),
  );
  if (found.length > 0) return found;
  console.error('There is no such cell; --list names all.');
  process.exit(2);
}

function git(...args: string[]): string {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}

process.exit((await main()) === 0 ? 0 : 1);
