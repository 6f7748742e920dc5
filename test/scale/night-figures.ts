import { linesOf, sumOf } from '../../functions/cost/bill.ts';
import { ADMISSION } from '../../functions/cost/step-use.ts';
import type { Night, NightOptions, Snapshot } from './night.ts';

/** How well a night's slots were used; shares from 0 to 1, times in seconds. */
export interface Figures {
  readonly makespan: number;
  /** The work on all slots, if none were ever free. */
  readonly ideal: number;
  /** Share of the slots that are held while work waits in that host's line: of all hosts, and of the worst. */
  readonly held: number;
  readonly worstHeld: number;
  /** Share that really uploads. */
  readonly uploading: number;
  readonly inLine: { readonly median: number; readonly most: number };
  /** From one job's release to the next one's grant, at a host where work waits. */
  readonly idle: { readonly mean: number; readonly most: number };
}

export function figuresOf({ snapshots }: Night, { hosts, slots }: NightOptions): Figures {
  const shares = [...Map.groupBy(snapshots, ({ host }) => host).values()].map((ofHost) =>
    whileWorkWaits(ofHost, slots),
  );
  const sum = (of: (share: (typeof shares)[number]) => number) =>
    shares.reduce((total, share) => total + of(share), 0);
  const waits = snapshots.map(({ lined, granted }) => granted - lined).toSorted((a, b) => a - b);
  const idle = shares.flatMap((share) => share.idle);
  const work = snapshots.reduce((total, { granted, released }) => total + released - granted, 0);
  return {
    makespan: Math.max(...snapshots.map(({ released }) => released)),
    ideal: work / (hosts * slots),
    held: sum(({ held }) => held) / sum(({ possible }) => possible),
    worstHeld: Math.min(...shares.map(({ held, possible }) => held / possible)),
    uploading: sum(({ uploading }) => uploading) / sum(({ possible }) => possible),
    inLine: { median: waits[waits.length >> 1] ?? 0, most: waits.at(-1) ?? 0 },
    idle: { mean: idle.reduce((total, each) => total + each, 0) / idle.length, most: Math.max(...idle) },
  };
}

/** One host, from when all its slots could be in use until its last job got one: so long work waits there. */
function whileWorkWaits(snapshots: readonly Snapshot[], slots: number) {
  const lined = snapshots.map((each) => each.lined).toSorted((a, b) => a - b);
  const grants = snapshots.map((each) => each.granted).toSorted((a, b) => a - b);
  const releases = snapshots.map((each) => each.released).toSorted((a, b) => a - b);
  const from = lined[slots - 1] ?? 0;
  const to = grants.at(-1) ?? 0;
  const within = (begin: number, end: number) => Math.max(0, Math.min(end, to) - Math.max(begin, from));
  return {
    possible: slots * (to - from),
    held: snapshots.reduce((sum, { granted, released }) => sum + within(granted, released), 0),
    uploading: snapshots.reduce((sum, { granted, released, uploadSeconds }) => {
      const held = released - granted;
      return sum + (within(granted, released) * uploadSeconds) / held;
    }, 0),
    idle: grants.slice(slots).map((grant, index) => grant - (releases[index] ?? grant)),
  };
}

/** The night as a table. */
export function nightTable(
  options: NightOptions,
  night: Night,
  figures: Figures,
  real: { seconds: number; mebibytes: number },
): string {
  const { calls, waits, atOnce } = night.admissions;
  const { reads, writes } = night.table.calls;
  const cost = sumOf(
    linesOf({
      lambdaRequest: calls,
      lambdaGbSecond: (calls * ADMISSION.wait.seconds * ADMISSION.memoryMib) / 1024,
      queueRequest: 3 * calls,
      tableRead: waits * ADMISSION.wait.reads,
      tableWrite: waits * ADMISSION.wait.smallWrites,
      // X-Ray takes the first in each second, and a twentieth of the others.
      trace: Math.min(calls, figures.makespan + calls / 20),
    }),
  );
  const rows = [
    ['VMs, hosts, slots each', `${options.vms}, ${options.hosts}, ${options.slots}`],
    ['makespan', `${hours(figures.makespan)} (${hours(figures.ideal)} if no slot were ever free)`],
    ['slots held while work waits', `${percent(figures.held)}; worst host ${percent(figures.worstHeld)}`],
    ['… and uploading', percent(figures.uploading)],
    ['most slots of a host at once', `${night.most.held} held, ${night.most.running} at work`],
    [
      'free slot until the next job',
      `${figures.idle.mean.toFixed(1)} s on average, ${figures.idle.most.toFixed(1)} s at most`,
    ],
    ['time in the line', `${hours(figures.inLine.median)} median, ${hours(figures.inLine.most)} at most`],
    ['admission calls', `${calls} (${waits} put back), ${atOnce} at once at most, $${cost.toFixed(2)}`],
    ['table', `${reads} reads, ${writes} writes`],
    ['simulated in', `${real.seconds.toFixed(1)} s, ${real.mebibytes.toFixed(0)} MiB at most`],
  ];
  return rows.map(([name = '', value]) => `  ${name.padEnd(30)}${value}`).join('\n');
}

function hours(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
