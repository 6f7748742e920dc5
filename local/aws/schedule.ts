import { randomUUID } from 'node:crypto';
import type { LocalClock } from '../clock.ts';

/** What EventBridge Scheduler hands to a Lambda when a schedule has no input of its own. */
export interface ScheduledEvent {
  readonly version: '0';
  readonly id: string;
  readonly 'detail-type': 'Scheduled Event';
  readonly source: 'aws.scheduler';
  readonly account: string;
  /** The nominal time. */
  readonly time: string;
  readonly region: string;
  readonly resources: string[];
  readonly detail: '{}';
}

/**
 * Calls `run` every `seconds` of the clock's time, for the first time after that long. A run that takes longer than
 * that is not overlapped: the times it missed are left out. What it throws goes to `onError`, and the schedule goes on.
 * @returns `stop` ends the schedule and waits for a run in progress
 */
export function every({
  seconds,
  clock,
  run,
  onError = () => {},
  name = 'janitor',
}: {
  seconds: number;
  clock: LocalClock;
  run: (event: ScheduledEvent) => Promise<unknown>;
  onError?: (error: unknown) => void;
  name?: string;
}): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const { signal } = stopping;

  async function loop(): Promise<void> {
    let due = clock.now().getTime();
    while (!signal.aborted) {
      const now = clock.now().getTime();
      const missed = Math.floor(Math.max(0, now - due) / (seconds * 1000));
      due += (missed + 1) * seconds * 1000;
      await clock.sleep(Math.max(0, due - now) / 1000, signal).catch(() => {});
      if (signal.aborted) return;
      await run(scheduledEvent(name, new Date(due))).catch(onError);
    }
  }

  const ended = loop();
  return {
    async stop() {
      stopping.abort();
      await ended;
    },
  };
}

function scheduledEvent(name: string, time: Date): ScheduledEvent {
  return {
    version: '0',
    id: randomUUID(),
    'detail-type': 'Scheduled Event',
    source: 'aws.scheduler',
    account: '000000000000',
    time: time.toISOString(),
    region: 'us-east-1',
    resources: [`arn:aws:scheduler:us-east-1:000000000000:schedule/default/${name}`],
    detail: '{}',
  };
}
