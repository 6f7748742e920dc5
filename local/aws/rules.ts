import type { LocalClock } from '../clock.ts';

/** For two minutes, as long as it may take that a host is given up, and about as Lambda does with an event. */
export const ENDED_ATTEMPTS = 8;

/** A rule's way from an event to its target. */
export interface Rule<Event> {
  /** Hands the event over, now and again until the target has taken it; returns at once. */
  deliver(event: Event): void;
  /** Resolves when every event delivered so far was taken or given up. */
  settled(): Promise<void>;
  /** Gives up what waits for another attempt and waits for the target's runs in progress. */
  stop(): Promise<void>;
}

/**
 * Delivers events to a target as an EventBridge rule does: each apart from the others, in no order, as a copy, and
 * again when the target fails, with growing pauses (1, 2, 4 … at most 60 seconds of the clock's time).
 * @param matches the rule's pattern; what it does not match is dropped
 * @param attempts how often an event is tried before `onGivenUp` is told (EventBridge: 186 times in 24 hours)
 */
export function rule<Event>({
  target,
  clock,
  matches = () => true,
  attempts = 186,
  onGivenUp = () => {},
}: {
  target: (event: Event) => Promise<unknown>;
  clock: LocalClock;
  matches?: (event: Event) => boolean;
  attempts?: number;
  onGivenUp?: (event: Event, error: unknown) => void;
}): Rule<Event> {
  const stopping = new AbortController();
  const { signal } = stopping;
  const underWay = new Set<Promise<void>>();

  async function carry(event: Event): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await target(structuredClone(event));
        return;
      } catch (error) {
        if (attempt < attempts) await clock.sleep(Math.min(2 ** (attempt - 1), 60), signal).catch(() => {});
        if (attempt >= attempts || signal.aborted) {
          onGivenUp(event, error);
          return;
        }
      }
    }
  }

  async function settled(): Promise<void> {
    while (underWay.size > 0) await Promise.all(underWay);
  }

  return {
    deliver(event) {
      if (signal.aborted || !matches(event)) return;
      const delivery = carry(event).finally(() => underWay.delete(delivery));
      underWay.add(delivery);
    },
    settled,
    async stop() {
      stopping.abort();
      await settled();
    },
  };
}
