import { readFile, writeFile } from 'node:fs/promises';
import { type Cell, kindOf } from './cells/cell.ts';
import type { Told } from './workers.ts';

/** What was found and mended, written by hand. */
const FOUND = new URL('found.md', import.meta.url);

/** What a run of the matrix has shown. */
export interface Shown {
  readonly cells: readonly Cell[];
  readonly verdicts: readonly Told[];
  readonly commit: string;
  readonly seed: string;
  readonly seconds: number;
}

/** Writes the matrix: what it is, a row for each state with a count for each kind of trouble, and what was found. */
export async function writeDocument(file: string, shown: Shown): Promise<void> {
  await writeFile(file, documentOf(shown, await readFile(FOUND, 'utf8')));
}

export function documentOf({ cells, verdicts, commit, seed, seconds }: Shown, found: string): string {
  const byId = new Map(cells.map((cell) => [cell.id, cell]));
  const done = verdicts.flatMap((verdict) => {
    const cell = byId.get(verdict.id);
    return cell ? [{ cell, verdict }] : [];
  });
  const red = done.filter(({ verdict }) => verdict.wrong.length > 0);
  const green = done.filter(({ verdict }) => verdict.fired && verdict.wrong.length === 0);
  const lines = [
    ...['# The kill matrix', '', INTRODUCTION, ''],
    `Of ${new Date().toISOString().slice(0, 10)}, commit ${commit}, seed \`${seed}\`: **${done.length} cells, ` +
      `${green.length} green, ${red.length} red**, in ${Math.round(seconds / 60)} minutes.` +
      ` ${done.length - green.length - red.length} were not come to: a job does not make every call each time.`,
    ...['', '## The cells', '', CELLS, '', '## State by state', ''],
    'Green of all, for each state and what happens there.',
    ...['', ...TARGETS.flatMap((target) => tableOf(target, done))],
    ...(red.length > 0
      ? ['## Red', '', ...red.map(({ verdict }) => `- \`${verdict.id}\`: ${verdict.wrong.join('; ')}`), '']
      : []),
    found.trim(),
    '',
  ];
  return lines.join('\n');
}

type Done = readonly { readonly cell: Cell; readonly verdict: Told }[];

const TARGETS = [
  'xapi',
  'glance',
  'keystone',
  'dynamodb',
  'sqs',
  'states',
  'secrets',
  'beyond calls',
] as const;

function tableOf(target: (typeof TARGETS)[number], done: Done): string[] {
  const own = done.filter(({ cell }) => ('event' in cell ? target === 'beyond calls' : cell.to === target));
  if (own.length === 0) return [];
  const short = (cell: Cell) => kindOf(cell).replace(/^\w+: /, '');
  const columns = [...new Set(own.map(({ cell }) => short(cell)))].toSorted();
  const rows = [...new Set(own.map(({ cell }) => rowOf(cell)))].toSorted();
  const count = (row: string, column: string) => {
    const here = own.filter(({ cell }) => rowOf(cell) === row && short(cell) === column);
    const good = here.filter(({ verdict }) => verdict.wrong.length === 0);
    return here.length === 0
      ? ''
      : good.length === here.length
        ? `${here.length}`
        : `**${good.length}/${here.length}**`;
  };
  return [
    ...[`### ${target}`, ''],
    `| | ${columns.join(' | ')} |`,
    `|---|${columns.map(() => '---:|').join('')}`,
    ...rows.map((row) => `| ${row} | ${columns.map((column) => count(row, column)).join(' | ')} |`),
    '',
  ];
}

const rowOf = ({ run, state }: Cell) => (run === 'plain' || run === 'owing' ? state : `${state}, ${run}`);

const INTRODUCTION = `Whatever fails, wherever, nothing is left behind, and no whole image is lost to a trouble that passes. Each cell here is
one run of a job in which one thing goes wrong, made from outside the product: proxies on the way to the pool, Glance and
Keystone, and a wire before AWS's stand-ins. \`npm run test:kill -- --all\` runs it, \`npm run test:kill -- --cell ID\` one cell.`;

const CELLS = `A cell's id is the state (or \`request\`, \`admission\`, \`reconcile\`, \`janitor\`, \`plugin\`), who is asked, the call with its
number, and what becomes of it: \`PollUpload/xapi/host.call_plugin:status#1/lost-reply\`. Which calls there are is not
written down: good runs are recorded first, so that a new call has its cells by itself. Before a colon stands how the job
goes when it is not a snapshot to its end: \`undone\` by the state machine, \`stopped\` and undone by reconcile, a \`backup\`
that replaces another, \`owing\` what the janitor pays; or a \`restore\`, to its end, \`-cut\` in its download and
\`-undone\` after its VM's creation by the state machine, or \`-stopped\` there and undone by reconcile; \`-into\` a VM that
is there, and \`-into-undone\` when its disks were exchanged; or \`-test\`, of which nothing stays.

Not every trouble is in every call's cells, since some would show the same as others:

- xapi's client asks again what only reads, however its answer was lost, and takes another session where one is invalid:
  that is shown once in each state. Of the reads of one class in a state one is refused; of those by which something is
  undone, each.
- What cannot be read is to the caller what was lost. Calls that make or take away something meet every kind; a field or a
  tag is set again without harm, and meets each kind once.
- Of codes that say "not now", which are one to every step, a call meets one that it can get. Which handle is invalid
  matters where something is to be gone.
- The table's client finds a write whose reply was lost, whatever state it is of: once a machine. All replies lost, an
  error, the service's end and a late write are in the cells of each write.
- Login, logout, secrets, Keystone's token, and the record's marks of a step's beginning and end are one wrapper's around all
  steps: in one state of each machine and line, and where no step is at work. That each state tries again what passes is
  held to by tests of the state machines' documents.
- A restore passes QueueForHost, ConfirmHost and ReleaseHost, too, which are the snapshot's, and struck there.

| what becomes of a call | |
|---|---|
| \`garbage\`, \`http-…\` | an answer that cannot be read, or another status; nothing is done |
| \`reset\` | the connection is broken before anything is done |
| \`lost-reply\`, \`truncated\` | it is done, and there is no answer, or half of one; \`lost-replies\`: to each of the SDK's tries |
| \`late\` | it is done, and answered when nobody waits for it any more |
| \`never\` | nothing is done, and nothing answered |
| \`INTERNAL_ERROR\` … | xapi's refusal of that code; \`HANDLE_INVALID-own\` names what it was called on, \`-other\` another object |
| \`error\`, \`throttled\` | AWS's own, past the SDK's tries |
| \`killed\` | it is done, and the service is killed at that moment and started again on the same data |
| \`zombie\` | the write is held until the state was begun again, and then done by the one that was taken for dead |

Beyond calls, when a job comes to a state: the service is killed, the execution stopped, the job cancelled, the step called
twice, xapi restarted, the pool failed over, the VM's host dies and comes back, or is ejected.

After each cell, reconcile, two rounds of the janitor at most, and the host's return or ejection:

- of a snapshot one image, active and verified, or none; those that were there as they were;
- of a restore one VM with one disk, whose bytes are the image's, under their own names, without a tag or a block, or none;
- no template, disk, file in an SR, task, secret, session (but that of a process that was killed, or of a login or logout
  that failed), disk attached in a dom0, slot, lease, message, tag;
- the VM locked, in the database and in the live guest;
- one outcome, with a documented name and the true cause;
- a trouble that passes fails no job and costs no upload or download;
- a cancel is 202 and the job \`cancelled\` within 15 seconds, or 409 and the job succeeds;
- the next request for the VM is taken, and its job succeeds: the next cell's, on the same pool, or where that has lost a
  host or its master, one more.`;
