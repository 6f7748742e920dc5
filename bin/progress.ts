import type { CommonView } from '../functions/api/common-view.ts';
import { duration, size } from './format.ts';
import { type WaitText, waitLine, waitText } from './job-waits.ts';

/** What a line of progress needs beside the job. */
export interface ProgressState {
  /** How fast the disk is read, uncompressed; undefined while that is not known. */
  readonly bytesPerSecond?: number | undefined;
  /** Shown where no other time is. */
  readonly elapsedSeconds?: number | undefined;
  /** Time of day here, by which it is told when a step that fails is tried again. */
  readonly now?: Date | undefined;
  /** Width of the terminal; without one, the line has no bar. */
  readonly columns?: number | undefined;
}

const WIDEST_BAR = 30;
const NARROWEST_BAR = 8;
/** The longest name of a step. */
const PHASE_WIDTH = 'DestroySnapshot'.length;

/** How a job stands, in one line that fits into the terminal: step, bar, percent, bytes, rate, time left, or why it waits. */
export function progressLine(
  job: CommonView,
  { bytesPerSecond, elapsedSeconds, now = new Date(), columns }: ProgressState = {},
): string {
  const percent = `${String(job.progress).padStart(3)} %`;
  const transferring = job.phase === 'PollUpload' || job.phase === 'PollDownload';
  const facts = [
    ...(job.bytesRead !== null && job.bytesTotal
      ? [`${size(job.bytesRead)} of ${size(job.bytesTotal)}`]
      : []),
    ...(transferring && bytesPerSecond !== undefined ? [`${size(Math.round(bytesPerSecond))}/s`] : []),
    ...timeOf(transferring ? job.etaSeconds : null, elapsedSeconds),
  ];
  const phase = job.finishedAt === null ? job.phase : job.status;
  const wait = waitText(job, now);
  if (wait) return waitingLine([phase, percent], wait, columns);
  if (columns === undefined) return [phase, percent.trim(), ...facts].join('  ');
  const rest = [percent, ...facts].join('  ');
  const room = columns - 1 - PHASE_WIDTH - rest.length - 4;
  const bar = room >= NARROWEST_BAR ? `${barOf(job.progress, Math.min(WIDEST_BAR, room))}  ` : '';
  return `${phase.padEnd(PHASE_WIDTH)}  ${bar}${rest}`.slice(0, columns - 1);
}

/** The least room for a reason that says anything. */
const LEAST_REASON = 12;

/** What holds a job up takes the place of bar, bytes and time. */
function waitingLine(
  [phase, percent]: [string, string],
  wait: WaitText,
  columns: number | undefined,
): string {
  if (columns === undefined) return [phase, percent.trim(), waitLine(wait)].join('  ');
  const before = `${phase.padEnd(PHASE_WIDTH)}  ${percent}  `;
  const room = Math.max(LEAST_REASON, columns - 1 - before.length - wait.next.length - ', '.length);
  const { reason } = wait;
  const short = reason.length > room ? `${reason.slice(0, room - 1).trimEnd()}…` : reason;
  return `${before}${waitLine({ ...wait, reason: short })}`.slice(0, columns - 1);
}

function timeOf(etaSeconds: number | null, elapsedSeconds: number | undefined): string[] {
  if (etaSeconds !== null) return [`ETA ${duration(etaSeconds)}`];
  return elapsedSeconds === undefined ? [] : [duration(elapsedSeconds)];
}

function barOf(percent: number, width: number): string {
  const inner = width - 2;
  const done = Math.floor((inner * percent) / 100);
  return `[${'#'.repeat(done)}${'-'.repeat(inner - done)}]`;
}

/** Seconds over which a rate is taken: long enough to be calm, short enough to be of now. */
const RATE_WINDOW_SECONDS = 15;

/** Measures a rate out of counts and the times at which they were read. */
export function rateMeter(): (bytes: number | null, now: Date) => number | undefined {
  let samples: { bytes: number; seconds: number }[] = [];
  return (bytes, now) => {
    if (bytes === null) return undefined;
    const seconds = now.getTime() / 1000;
    // An upload that starts anew counts from 0 again.
    if (bytes < (samples.at(-1)?.bytes ?? 0)) samples = [];
    samples = [
      ...samples.filter((sample) => seconds - sample.seconds <= RATE_WINDOW_SECONDS),
      { bytes, seconds },
    ];
    const [first] = samples;
    return first && seconds > first.seconds ? (bytes - first.bytes) / (seconds - first.seconds) : undefined;
  };
}
