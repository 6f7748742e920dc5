import { AsyncLocalStorage } from 'node:async_hooks';
import { GetExecutionHistoryCommand, type HistoryEvent, type SFNClient } from '@aws-sdk/client-sfn';
import { vi } from 'vitest';
import { requestSnapshot } from '../../functions/request.ts';
import { requestRestore } from '../../functions/restore-request.ts';
import { TABLE, Table } from '../../functions/store/table.ts';
import { scenario } from '../support/scenario.ts';

/** Calls of the table by one part of xensnap. */
export interface TableCalls {
  reads: number;
  jobWrites: number;
  smallWrites: number;
}

/** What one snapshot on the local engine did. */
export interface RealRun {
  readonly history: readonly HistoryEvent[];
  /** How often the history says that each state was entered. */
  readonly entered: Readonly<Record<string, number>>;
  /** The table's calls by step; `request` is the API's, `admission` what remains. */
  readonly tableCalls: Readonly<Record<string, TableCalls>>;
  /** Bytes of the job's record after each write, about as DynamoDB counts them. */
  readonly recordBytes: readonly number[];
  /** Writes to indexes of keys alone, as DynamoDB counts them. */
  readonly indexWrites: number;
  /** The restore of that snapshot's image. */
  readonly restored: Pick<RealRun, 'history' | 'entered' | 'tableCalls'>;
}

/**
 * Takes one snapshot on the local engine, whose upload goes on until it has been looked at so many times, and restores its
 * image.
 */
export async function realRun(uploadLooks: number): Promise<RealRun> {
  await using closing = new AsyncDisposableStack();
  const part = new AsyncLocalStorage<string>();
  const begun = Promise.withResolvers<void>();
  const looked = Promise.withResolvers<void>();
  const ended = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
  let over = 0;
  let looks = 0;
  const all = await scenario({
    atEnd: (close) =>
      closing.defer(async () => {
        await close();
      }),
    // A token makes for the most writes: it is a debt of its own.
    glance: { token: 'token' },
    // What was restored.
    leaves: 'unknown',
    service: {
      waitSeconds: { WaitForUpload: 0.5, WaitForSnapshot: 0.5, WaitForCoalesce: 0.5 },
      async aroundStep(step, _jobId, run) {
        // A look at an upload that has not begun yet would find nothing to write down.
        if (step === 'PollUpload') await begun.promise;
        return part.run(step, run);
      },
      onState(_jobId, state) {
        if (state === 'WaitForUpload' && ++looks === uploadLooks) looked.resolve();
        if (state === 'JobSucceeded' || state === 'JobFailed') ended[over++]?.resolve();
      },
    },
  });
  all.glance.onUpload(() => begun.resolve());
  all.glance.faults.add({ method: 'PUT', path: /file$/, hold: looked.promise, afterBytes: 1 });
  // A process reads at its first session what is known of the pool's members: once, whatever it does then.
  await all.service.check();
  const { tableCalls, recordBytes, indexWrites, restore } = watchTable(() => part.getStore() ?? 'admission');
  const { runtime } = all.service;
  const [vm] = all.pool.vms();
  const wish = { vm: vm?.uuid ?? '', idempotency: { key: 'night', request: 'r' } };
  const { job } = await part.run('request', () => requestSnapshot(wish, runtime));
  await ended[0].promise;
  restore();
  const { status, error } = await all.job(job.id);
  if (status !== 'succeeded') throw new Error(`The job ended ${status}: ${error?.message}`);
  const history = await historyOf('xensnap', job.id, runtime.sfn);
  const again = watchTable(() => part.getStore() ?? 'admission');
  const { job: restoring } = await part.run('request', () => requestRestore({ image: job.id }, runtime));
  await ended[1].promise;
  again.restore();
  const historyOfRestore = await historyOf('xensnap-restore', restoring.id, runtime.sfn);
  return {
    ...{ history, entered: enteredIn(history), tableCalls, recordBytes, indexWrites: indexWrites() },
    restored: {
      history: historyOfRestore,
      entered: enteredIn(historyOfRestore),
      tableCalls: again.tableCalls,
    },
  };
}

function watchTable(part: () => string) {
  const tableCalls: Record<string, TableCalls> = {};
  const recordBytes: number[] = [];
  const count = (what: keyof TableCalls) => {
    const calls = tableCalls[part()] ?? { reads: 0, jobWrites: 0, smallWrites: 0 };
    tableCalls[part()] = { ...calls, [what]: calls[what] + 1 };
  };
  const isJob = (id: string) => id.startsWith('job#');
  // The look at the schedules that comes every minute, and within a run on a machine that is slow.
  const isOfTick = (id: string) => /^(schedules|executions)#|^backups#look$/.test(id);
  const indexed = new Map<string, IndexKeys>();
  let writes = 0;
  const noteKeys = (id: string, item: object) => {
    const keys = Object.values(TABLE.indexes).map((name) => (item as Record<string, unknown>)[name]);
    writes += indexWritesFor(indexed.get(id) ?? [], keys);
    indexed.set(id, keys);
  };
  const { get, change, create, remove } = Table.prototype;
  const spies = [
    vi.spyOn(Table.prototype, 'get').mockImplementation(function (this: Table, id) {
      if (!isOfTick(id)) count('reads');
      return get.call(this, id) as never;
    }),
    vi.spyOn(Table.prototype, 'create').mockImplementation(function (this: Table, item) {
      count('jobWrites');
      noteKeys(item.id, item);
      return create.call(this, item);
    }),
    vi.spyOn(Table.prototype, 'change').mockImplementation(async function (this: Table, id, how) {
      if (!isOfTick(id)) count(isJob(id) ? 'jobWrites' : 'smallWrites');
      const item = await change.call(this, id, how);
      if (isJob(id) && item) recordBytes.push(bytesOf(item));
      if (item) noteKeys(id, item);
      return item as never;
    }),
    vi.spyOn(Table.prototype, 'remove').mockImplementation(function (this: Table, ...args) {
      count('smallWrites');
      return remove.apply(this, args);
    }),
  ];
  return {
    tableCalls,
    recordBytes,
    indexWrites: () => writes,
    restore: () => {
      for (const spy of spies) spy.mockRestore();
    },
  };
}

/** The values under which the indexes have an item, in their order. */
type IndexKeys = readonly unknown[];

/** One for each index that an item enters or leaves; a new value is both. */
function indexWritesFor(before: IndexKeys, after: IndexKeys): number {
  return after
    .map((key, index) =>
      key === before[index] ? 0 : Number(key !== undefined) + Number(before[index] !== undefined),
    )
    .reduce((sum, each) => sum + each, 0);
}

/** Names and values as UTF-8, without what JSON puts between them. */
function bytesOf(item: unknown): number {
  const json = JSON.stringify(item, (_key, value) => (value instanceof Set ? [...value] : value));
  return Buffer.byteLength(json.replaceAll(/[{}[\]",:]/g, ''));
}

async function historyOf(machine: string, jobId: string, sfn: SFNClient): Promise<HistoryEvent[]> {
  const executionArn = `arn:aws:states:us-east-1:000000000000:execution:${machine}:${jobId}`;
  const events: HistoryEvent[] = [];
  let nextToken: string | undefined;
  do {
    const page = await sfn.send(
      new GetExecutionHistoryCommand({ executionArn, ...(nextToken !== undefined && { nextToken }) }),
    );
    events.push(...(page.events ?? []));
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  return events;
}

function enteredIn(history: readonly HistoryEvent[]): Record<string, number> {
  const names = history.flatMap(({ stateEnteredEventDetails: details }) => details?.name ?? []);
  const groups = Map.groupBy(names, (name) => name);
  return Object.fromEntries([...groups].map(([name, all]) => [name, all.length]));
}
