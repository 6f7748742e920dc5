import { XapiFailure } from '../failure.ts';
import type { Database } from './database.ts';
import type { Change } from './history.ts';
import { type Subscription, takes } from './subscription.ts';
import type { Row } from './value.ts';

/** The most that waits to be fetched, over all sessions, as JSON. */
const MOST_BYTES = 10_000_000;

interface Registration {
  subscriptions: readonly Subscription[];
  /** The first event that the session has not been asked for. */
  nextId: number;
}

interface Queued {
  readonly id: number;
  readonly event: Row;
  readonly bytes: number;
}

/** The events behind the deprecated `event.register` and `event.next`: one queue for all sessions (xapi_event.ml). */
export class EventQueue {
  readonly #registrations = new Map<string, Registration>();
  readonly #queue: Queued[] = [];
  #bytes = 0;
  #forgottenId = -1;
  nextId = 0;

  constructor(db: Database, isAudible: (className: string) => boolean) {
    db.history.changes.prependListener('change', (className, change, ref) => {
      for (const session of this.#registrations.keys())
        if (!db.has('session', session)) this.#registrations.delete(session);
      if (isAudible(className)) this.#add(db, className, change, ref);
    });
  }

  register(session: string, subscriptions: readonly Subscription[]): void {
    const before = this.#registrations.get(session) ?? { subscriptions: [], nextId: this.nextId };
    before.subscriptions = [...subscriptions, ...before.subscriptions];
    this.#registrations.set(session, before);
  }

  unregister(session: string, subscriptions: readonly Subscription[]): void {
    this.register(session, []);
    const registration = this.#registrations.get(session);
    if (!registration) return;
    const isSame = (one: Subscription) => (other: Subscription) =>
      one.className === other.className && one.ref === other.ref;
    registration.subscriptions = registration.subscriptions.filter(
      (each) => !subscriptions.some(isSame(each)),
    );
  }

  isRegistered(session: string): boolean {
    return this.#registrations.has(session);
  }

  /**
   * The session's events since it was last asked.
   * @throws XapiFailure EVENTS_LOST when some of them were too many to keep
   */
  take(session: string): Row[] {
    const registration = this.#registrations.get(session);
    if (!registration) return [];
    const { nextId, subscriptions } = registration;
    registration.nextId = this.nextId;
    if (this.#forgottenId >= nextId) throw new XapiFailure('EVENTS_LOST');
    return this.#queue
      .filter(({ id, event }) => id >= nextId && takes(subscriptions, String(event.class), String(event.ref)))
      .map(({ event }) => event);
  }

  #add(db: Database, className: string, change: Change, ref: string): void {
    const wanted = [...this.#registrations.values()].some(({ subscriptions }) =>
      takes(subscriptions, className, ref),
    );
    if (!wanted) return;
    const event: Row = {
      id: String(this.nextId),
      timestamp: `${Math.floor(Date.now() / 1000)}.`,
      class: className.toLowerCase(),
      operation: change,
      ref,
      ...(change !== 'del' && { snapshot: db.record(className, ref) }),
    };
    const bytes = Buffer.byteLength(JSON.stringify(event));
    this.#queue.push({ id: this.nextId, event, bytes });
    this.#bytes += bytes;
    this.nextId += 1;
    while (this.#bytes > MOST_BYTES) {
      const dropped = this.#queue.shift();
      if (!dropped) break;
      this.#bytes -= dropped.bytes;
      this.#forgottenId = dropped.id;
    }
  }
}
