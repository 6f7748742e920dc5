import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { classNames } from '../database/datamodel.ts';
import { EventQueue } from '../database/event-queue.ts';
import type { Change } from '../database/history.ts';
import { parseSubscriptions, type Subscription, takes } from '../database/subscription.ts';
import type { Row } from '../database/value.ts';
import { XapiFailure } from '../failure.ts';
import type { Context, PoolState } from '../state.ts';

/** The pause before a batch that is not of tasks alone, and between two looks: more may come meanwhile (xapi_globs.ml). */
const BATCHING_SECONDS = 0.05;
/** The pause before each batch of `event.next`. */
const NEXT_BATCHING_SECONDS = 0.2;
const LONGEST_SECONDS = 86_400;

/** Classes without events of their own (datamodel.ml, gen_events). Messages are not in the database and are handled apart. */
const SILENT = new Set(['session', 'event', 'secret', 'message']);

interface Batch {
  readonly events: Row[];
  readonly last: number;
  readonly lastMessage: number;
}

/**
 * `event.from` (xapi_event.ml): waits until something happened to what is subscribed after the token, at most `timeout`
 * seconds, and answers each object once, as it is then. What came before a token of `''` is all that there is.
 * @throws XapiFailure EVENT_FROM_TOKEN_PARSE_FAILURE; SESSION_INVALID when the session ends meanwhile
 */
async function from(context: Context, classes: string[], token: string, timeout: number): Promise<Row> {
  const { pool } = context;
  const { clock, stopped } = pool;
  const subscriptions = parseSubscriptions(classes);
  let [since, sinceMessage] = parseToken(token);
  const seconds = timeout >= 0 && timeout < LONGEST_SECONDS ? timeout : LONGEST_SECONDS;
  const end = clock.now().getTime() + seconds * 1000;
  const ofTasks = subscriptions.every(({ className }) => className === 'task');
  if (!ofTasks) await clock.sleep(BATCHING_SECONDS, stopped);
  for (;;) {
    if (!pool.db.has('session', context.session)) throw new XapiFailure('SESSION_INVALID', context.session);
    const batch = readBatch(pool, subscriptions, since, sinceMessage);
    if (batch.events.length > 0 || clock.now().getTime() >= end) return answer(pool, batch);
    ({ last: since, lastMessage: sinceMessage } = batch);
    await changeOrEnd(context, (end - clock.now().getTime()) / 1000);
    await clock.sleep(BATCHING_SECONDS, stopped);
  }
}

/** Waits for any change to the database, or for so many seconds. */
async function changeOrEnd({ pool }: Context, seconds: number): Promise<void> {
  const done = new AbortController();
  const signal = AbortSignal.any([pool.stopped, done.signal]);
  const quiet = (): undefined => undefined;
  await Promise.race([
    once(pool.db.history.changes, 'change', { signal }).catch(quiet),
    pool.clock.sleep(Math.max(0, seconds), signal).catch(quiet),
  ]);
  done.abort();
  pool.stopped.throwIfAborted();
}

function parseToken(token: string): [number, number] {
  if (token === '') return [0, 0];
  const parts = token.split(',');
  if (parts.length !== 2 || !parts.every((part) => /^-?\d+$/.test(part)))
    throw new XapiFailure('EVENT_FROM_TOKEN_PARSE_FAILURE', token);
  const [last = '', lastMessage = ''] = parts;
  return [Number(last), Number(lastMessage)];
}

function formatToken(last: number, lastMessage: number): string {
  return [last, lastMessage].map((part) => String(part).padStart(20, '0')).join(',');
}

function readBatch(
  { db }: PoolState,
  subscriptions: readonly Subscription[],
  since: number,
  sinceMessage: number,
): Batch {
  const events: Record<Change, Row[]> = { add: [], mod: [], del: [] };
  let last = since;
  for (const className of classNames) {
    if (SILENT.has(className)) continue;
    for (const { ref, change, at } of db.history.since(className, since)) {
      if (!takes(subscriptions, className, ref)) continue;
      events[change].push(eventOf(db, className, change, ref, at));
    }
    last = Math.max(
      last,
      db.history.last(className, (ref) => takes(subscriptions, className, ref)),
    );
  }
  const messages = db.history
    .since('message', sinceMessage)
    .filter(({ ref }) => takes(subscriptions, 'message', ref));
  return {
    events: [
      // A message's event has no generation of its own.
      ...messages.map(({ ref, change }) => eventOf(db, 'message', change, ref, 0)),
      ...events.add,
      ...events.mod,
      ...events.del,
    ],
    last,
    lastMessage: Math.max(sinceMessage, ...messages.map(({ at }) => at)),
  };
}

function eventOf(db: PoolState['db'], className: string, change: Change, ref: string, at: number): Row {
  return {
    id: String(at),
    timestamp: '0.0',
    class: className.toLowerCase(),
    operation: change,
    ref,
    ...(change !== 'del' && { snapshot: db.record(className, ref) }),
  };
}

/** The counts say to a client whether it missed a deletion: of those, only some are remembered. */
function answer({ db }: PoolState, { events, last, lastMessage }: Batch): Row {
  const inDatabase = classNames.filter((name) => name !== 'event' && name !== 'message');
  return {
    events,
    valid_ref_counts: Object.fromEntries(
      inDatabase.map((name) => [name.toLowerCase(), BigInt(db.refs(name).length)]),
    ),
    token: formatToken(last, lastMessage),
  };
}

/** Changes an object without changing it; who waits for a token beyond the one that comes has seen all before it. */
function inject({ pool: { db } }: Context, className: string, ref: string): string {
  if (!classNames.includes(className) || !db.has(className, ref))
    throw new XapiFailure('HANDLE_INVALID', className, ref);
  db.history.note(className, 'mod', ref);
  return formatToken(db.history.generation - 1, 0);
}

function queueOf(pool: PoolState): EventQueue {
  const queue = queues.get(pool) ?? new EventQueue(pool.db, (className) => !SILENT.has(className));
  queues.set(pool, queue);
  return queue;
}

const queues = new WeakMap<PoolState, EventQueue>();

/** `event.next`: waits without an end for events of what the session has registered. */
async function next(context: Context): Promise<Row[]> {
  const { pool, session } = context;
  const queue = queueOf(pool);
  if (!queue.isRegistered(session)) {
    const trackId = createHash('md5').update(session).digest('hex');
    throw new XapiFailure('SESSION_NOT_REGISTERED', `trackid=${trackId}`);
  }
  for (;;) {
    await pool.clock.sleep(NEXT_BATCHING_SECONDS, pool.stopped);
    const events = queue.take(session);
    if (events.length > 0) return events;
    await changeOrEnd(context, LONGEST_SECONDS);
    if (!pool.db.has('session', session)) throw new XapiFailure('SESSION_INVALID', session);
  }
}

export const eventCalls = {
  'event.from': from,
  'event.inject': inject,
  'event.next': next,
  'event.register': ({ pool, session }: Context, classes: string[]) =>
    queueOf(pool).register(session, parseSubscriptions(classes)),
  'event.unregister': ({ pool, session }: Context, classes: string[]) =>
    queueOf(pool).unregister(session, parseSubscriptions(classes)),
  'event.get_current_id': ({ pool }: Context) => String(queueOf(pool).nextId),
};
