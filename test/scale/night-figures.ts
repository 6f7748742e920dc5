import { billOf, linesOf, sumOf } from '../../functions/cost/bill.ts';
import { PLAIN_JOB } from '../../functions/cost/model.ts';
import { ADMISSION, LOG_BYTES_A_RUN } from '../../functions/cost/step-use.ts';
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
  const waits = snapshots.map(({ lined, granted }) => granted - lined).toSorted((a, b) => a - b);
  const idle = shares.flatMap((share) => share.idle);
  const work = snapshots.reduce((total, { granted, released }) => total + released - granted, 0);
  return {
    makespan: Math.max(...snapshots.map(({ released }) => released)),
    ideal: work / (hosts * slots),
    held: sum(shares, ({ held }) => held) / sum(shares, ({ possible }) => possible),
    worstHeld: Math.min(...shares.map(({ held, possible }) => held / possible)),
    uploading: sum(shares, ({ uploading }) => uploading) / sum(shares, ({ possible }) => possible),
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

/** A night in rows: what, and how much of it. */
export function nightRows(options: NightOptions, night: Night): [what: string, value: string][] {
  const figures = figuresOf(night, options);
  const { calls, waits, atOnce } = night.admissions;
  const longest = (rounds: readonly { readonly seconds: number }[]) =>
    most(rounds.map(({ seconds }) => seconds));
  const failed = (rounds: readonly { readonly failure?: string }[]) =>
    rounds.filter(({ failure }) => failure !== undefined).length;
  const { ticks, rounds, asked, functions, quotas } = night;
  const { before, after } = nightCost(night);
  return [
    [
      'VMs, pools, hosts, slots of each',
      `${options.vms}, ${options.pools}, ${options.hosts}, ${options.slots}`,
    ],
    ['makespan', `${hours(figures.makespan)} (${hours(figures.ideal)} if no slot were ever free)`],
    ['time in the line', `${hours(figures.inLine.median)} median, ${hours(figures.inLine.most)} at most`],
    ['slots held while work waits', `${percent(figures.held)}; worst host ${percent(figures.worstHeld)}`],
    ['… and uploading', percent(figures.uploading)],
    ['most slots of a host at once', `${night.most.held} held, ${night.most.running} at work`],
    [
      'free slot until the next job',
      `${figures.idle.mean.toFixed(2)} s on average, ${figures.idle.most.toFixed(2)} s at most`,
    ],
    ['admissions', `${calls}, ${(calls / options.vms).toFixed(2)} a job; ${atOnce} at once at most`],
    [
      'last job asked for',
      `${minutes(most(asked[0]))} after the schedule's time; the next day ${minutes(most(asked[1]))}; ${night.askedAgain} of both nights twice`,
    ],
    [
      'looks at the schedules',
      `${ticks.length}, ${failed(ticks)} failed, ${longest(ticks).toFixed(0)} of 180 s at most`,
    ],
    [
      'rounds of the janitor',
      `${rounds.length}, ${failed(rounds)} failed, ${longest(rounds).toFixed(0)} of 900 s at most, ${sum(rounds, ({ findings }) => findings)} findings`,
    ],
    ['functions at once', `${functions.most} at most, ${functions.throttled} turned away`],
    ...[...quotas.usage].map(([name, usage]): [string, string] => [
      name,
      `${usage.calls}, ${usage.most} in a second at most; ${usage.throttled} ${usage.longest > 0 ? `held up, ${usage.longest.toFixed(1)} s at most` : `turned away, ${usage.failed} for good`}`,
    ]),
    ['jobs cost', usd(after.jobs)],
    [
      'admissions that found no slot cost',
      `${usd(after.waits)} (${waits}); ${ONCE.waits} of them cost ${usd(before.waits)}`,
    ],
    ['looks at runs under way cost', `${usd(after.looks)}; every minute ${usd(before.looks)}`],
  ];
}

/** Admissions that found no slot, of 20,000 VMs on 400 hosts with two slots, when each head looked every 15 seconds. */
const ONCE = { waits: 1_228_610 };
/** A look at a run under way reads the run and its job. */
const LOOK_READS = 2;
const LOOK_SECONDS = { before: 60, after: 900 };

/** What a night costs by the model of `npm run cost`, and what it cost before lines were woken and looks were fewer. */
export function nightCost({ snapshots, admissions }: Night) {
  const uploadSeconds = sum(snapshots, (each) => each.uploadSeconds) / snapshots.length;
  const underWay = sum(snapshots, ({ asked, released }) => released - asked);
  const waits = (count: number, smallWrites: number) =>
    sumOf(
      linesOf({
        lambdaRequest: count,
        lambdaGbSecond: (count * ADMISSION.wait.seconds * ADMISSION.memoryMib) / 1024,
        // Received, hidden, brought back.
        queueRequest: 3 * count,
        tableRead: count * ADMISSION.wait.reads,
        tableWrite: count * smallWrites,
        logGb: (count * LOG_BYTES_A_RUN) / 1e9,
      }),
    );
  const looks = (every: number) => sumOf(linesOf({ tableRead: (underWay / every) * LOOK_READS }));
  const jobs = snapshots.length * billOf({ ...PLAIN_JOB, uploadSeconds, looks: 0 }).usd;
  return {
    before: { jobs, waits: waits(ONCE.waits, 1), looks: looks(LOOK_SECONDS.before) },
    after: {
      jobs,
      waits: waits(admissions.waits, ADMISSION.wait.smallWrites),
      looks: looks(LOOK_SECONDS.after),
    },
  };
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

function most(values: readonly number[]): number {
  return values.reduce((largest, value) => Math.max(largest, value), 0);
}

function minutes(seconds: number): string {
  return `${Math.ceil(seconds / 60)} min`;
}

function usd(value: number): string {
  return `$${value.toFixed(2)}`;
}

function hours(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
