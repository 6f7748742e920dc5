import { EPOCH, NULL_REF, type Value } from '../database/value.ts';
import { XapiFailure } from '../failure.ts';
import { RESTARTED } from '../faults.ts';
import type { Context, PoolState } from '../state.ts';
import { encodeValue } from '../wire/xmlrpc.ts';

const KEPT_SECONDS = 3900;
const PENDING_SECONDS = 86_400;
const MAX_TASKS = 200;
const LOOK_SECONDS = 0.5;

export interface NewTask {
  readonly label: string;
  readonly description?: string;
  readonly session?: string;
  readonly host: string;
  readonly subtaskOf?: string;
  /** The task of a call that its caller waits for: it goes with the answer. */
  readonly ofCall?: boolean;
}

export function createTask(pool: PoolState, task: NewTask): string {
  return pool.db.create('task', {
    name_label: task.label,
    name_description: task.description ?? '',
    created: pool.clock.now(),
    finished: EPOCH,
    status: 'pending',
    resident_on: task.host,
    progress: 0,
    type: '<none/>',
    subtask_of: task.subtaskOf ?? NULL_REF,
    backtrace: '()',
    session: task.session ?? NULL_REF,
    ofCall: task.ofCall ?? false,
  });
}

function isPending(pool: PoolState, task: string): boolean {
  return pool.db.has('task', task) && pool.db.text('task', task, 'status') === 'pending';
}

/** Ends a task well, once: the status is written last, so that who sees it sees the result (taskHelper.ml). */
export function completeTask(pool: PoolState, task: string, result: Value): void {
  if (!isPending(pool, task)) return;
  pool.db.update('task', task, {
    allowed_operations: [],
    finished: pool.clock.now(),
    progress: 1,
    result: encodeValue(result),
    status: 'success',
  });
}

/** Ends a task with the error, or as cancelled when the error says so. */
export function failTask(pool: PoolState, task: string, failure: XapiFailure): void {
  if (!isPending(pool, task)) return;
  const cancelled = failure.code === 'TASK_CANCELLED';
  pool.db.update('task', task, {
    progress: 1,
    ...(!cancelled && { error_info: failure.description }),
    finished: pool.clock.now(),
    allowed_operations: [],
    status: cancelled ? 'cancelled' : 'failure',
  });
}

export function setCancellable({ pool, task }: Context): void {
  if (pool.db.has('task', task)) pool.db.set('task', task, 'allowed_operations', ['cancel']);
}

/** @throws XapiFailure TASK_CANCELLED when somebody asked for it: xapi looks only where its operations poll */
export function throwIfCancelling({ pool, task }: Context): void {
  if (!pool.db.has('task', task)) return;
  if (Object.values(pool.db.map('task', task, 'current_operations')).includes('cancel'))
    throw new XapiFailure('TASK_CANCELLED', task);
}

/** An operation that takes so long, and looks now and then whether it is still wanted. */
export async function sleepUnlessCancelled(context: Context, seconds: number): Promise<void> {
  const { clock, stopped } = context.pool;
  for (let left = seconds; left > 0; left -= LOOK_SECONDS) {
    await clock.sleep(Math.min(left, LOOK_SECONDS), stopped);
    throwIfCancelling(context);
  }
}

function assertStatus(value: string): void {
  if (!['pending', 'success', 'failure', 'cancelling', 'cancelled'].includes(value))
    throw new XapiFailure('INTERNAL_ERROR', 'Failure("Unknown tag/contents")');
}

export const taskCalls = {
  'task.create': ({ pool, session, host }: Context, label: string, description: string) =>
    createTask(pool, { label, description, session, host: host.ref }),
  'task.destroy': ({ pool: { db } }: Context, task: string) => {
    if (db.text('task', task, 'status') !== 'pending') db.destroy('task', task);
    // The collector removes it once it is complete.
    else
      db.set('task', task, 'current_operations', {
        ...db.map('task', task, 'current_operations'),
        task: 'destroy',
      });
  },
  'task.cancel': ({ pool: { db }, task: own }: Context, task: string) => {
    db.row('task', task);
    db.set('task', task, 'current_operations', { [own]: 'cancel' });
  },
  'task.set_status': ({ pool: { db } }: Context, task: string, value: string) => {
    assertStatus(value);
    db.set('task', task, 'status', value);
  },
  'task.set_progress': ({ pool: { db } }: Context, task: string, value: number) =>
    db.set('task', task, 'progress', value),
  'task.set_result': ({ pool: { db } }: Context, task: string, value: string) =>
    db.set('task', task, 'result', value),
  'task.set_error_info': ({ pool: { db } }: Context, task: string, value: string[]) =>
    db.set('task', task, 'error_info', value),
  'task.set_resident_on': ({ pool: { db } }: Context, task: string, value: string) =>
    db.set('task', task, 'resident_on', value),
};

/** One pass of the database's collector over the tasks (db_gc.ml): age, asked-for destruction, more than 200. */
export function collectTasks({ db, clock }: PoolState): void {
  const now = clock.now().getTime();
  const complete: { task: string; finished: number }[] = [];
  for (const task of db.refs('task')) {
    const row = db.row('task', task);
    const ageSeconds = (field: string): number => (now - Number(row[field])) / 1000;
    if (row.status === 'pending') {
      if (ageSeconds('created') > PENDING_SECONDS && row.progress === row.progressBefore)
        db.destroy('task', task);
      else db.set('task', task, 'progressBefore', row.progress ?? 0);
    } else if (
      ageSeconds('finished') > KEPT_SECONDS ||
      Object.values(db.map('task', task, 'current_operations')).includes('destroy')
    ) {
      db.destroy('task', task);
    } else {
      complete.push({ task, finished: Number(row.finished) });
    }
  }
  complete.sort((one, other) => one.finished - other.finished);
  const surplus = db.refs('task').length - MAX_TASKS;
  for (const { task } of complete.slice(0, Math.max(0, surplus))) db.destroy('task', task);
}

/**
 * What a restart of xapi does to the work under way (cancel_tasks.ml). Of a member the incomplete tasks that were passed
 * on to it go, with no status left behind, and their marks on VMs and disks. With the master's go all tasks, and all
 * sessions: neither table is ever written to disk (db_xml.ml).
 * @param host the member's reference; the master if left out
 */
export function forgetTasks({ db, released }: PoolState, host?: string): void {
  const gone = db
    .refs('task')
    .filter((task) => host === undefined || db.text('task', task, 'resident_on') === host)
    .filter((task) => host === undefined || db.text('task', task, 'status') === 'pending');
  for (const task of gone) db.destroy('task', task);
  if (host === undefined) {
    for (const session of db.refs('session')) db.destroy('session', session);
    released.emit(RESTARTED);
  }
  for (const className of ['VM', 'VDI', 'VBD', 'SR']) {
    for (const ref of db.refs(className)) {
      const operations = Object.entries(db.map(className, ref, 'current_operations'));
      const left = operations.filter(([task]) => host !== undefined && !gone.includes(task));
      db.set(className, ref, 'current_operations', Object.fromEntries(left));
      released.emit(`${className}/${ref}`);
    }
  }
}
