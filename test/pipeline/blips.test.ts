import { AsyncLocalStorage } from 'node:async_hooks';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SFNClient } from '@aws-sdk/client-sfn';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { afterEach, expect, it, vi } from 'vitest';
import { XensnapError } from '../../functions/errors.ts';
import type { SnapshotJob } from '../../functions/job.ts';
import { Jobs } from '../../functions/store/jobs.ts';
import { MACHINES, STEPS, type StepName, type StepSettings } from '../../statemachine/contract.ts';
import { type Scenario, type ScenarioOptions, scenario } from '../support/scenario.ts';

/** Every wait between two tries is as long as in AWS, but the clock is fast. */
const SPEED = 100;

afterEach(() => vi.restoreAllMocks());

/** The step that asks AWS, however deep in its calls. */
const asking = new AsyncLocalStorage<StepName>();

function withSteps(options: ScenarioOptions = {}): ScenarioOptions {
  return {
    speed: SPEED,
    pool: { vms: 1, diskMib: 2 },
    glance: { token: 'token' },
    ...options,
    service: { aroundStep: (step, _jobId, run) => asking.run(step as StepName, run) },
  };
}

/** What AWS's SDK throws when its own tries are over. */
const failed = () =>
  Object.assign(new Error('planted'), { name: 'InternalServerError', $fault: 'server', $metadata: {} });

/** Has a client of the SDK fail once at each place that `quotaOf` names, before or after the effect; answers the places. */
function failOnceAtEach(
  client: { prototype: { send: unknown } },
  quotaOf: (step: StepName, command: string) => string,
  when: 'before' | 'after' = 'before',
): Set<string> {
  const places = new Set<string>();
  const send = client.prototype.send as (...args: unknown[]) => Promise<unknown>;
  vi.spyOn(client.prototype as { send: typeof send }, 'send').mockImplementation(async function (
    this: unknown,
    ...args
  ) {
    const step = asking.getStore();
    const place = step && quotaOf(step, (args[0] as object).constructor.name);
    if (place === undefined || places.has(place)) return send.apply(this, args);
    places.add(place);
    if (when === 'after') await send.apply(this, args);
    throw failed();
  });
  return places;
}

/** Asserts that a job that met a blip succeeded and uploaded once. */
function expectUnharmed(at: Scenario, done: SnapshotJob): void {
  expect(done).toMatchObject({ status: 'succeeded', uploadAttempts: 1 });
  expect(done.warnings ?? []).toEqual([]);
  expect(at.glance.images()).toMatchObject([{ status: 'active' }]);
}

const reaching = (target: 'pool' | 'glance') =>
  OF_SNAPSHOT.filter((name) => {
    const { reaches }: StepSettings = STEPS[name];
    return reaches.includes(target) && !UNDOING.has(name);
  });
const OF_SNAPSHOT: readonly StepName[] = [...MACHINES.snapshot.forward, ...MACHINES.snapshot.cleanup];
/** Not passed by a job that succeeds and is no backup. */
const UNDOING: ReadonlySet<string> = new Set(['CancelUpload', 'DiscardImage', 'RotateBackups']);

it('succeeds with one upload although Secrets Manager fails once in each step that reads a secret', async () => {
  const places = failOnceAtEach(SecretsManagerClient, (step) => step);
  const at = await scenario(withSteps());
  const done = await at.job(await at.request(at.pool.vms()[0]?.uuid ?? ''));
  expectUnharmed(at, done);
  expect([...places].toSorted()).toEqual(
    [...new Set([...reaching('pool'), ...reaching('glance')])].toSorted(),
  );
});

it('succeeds with one upload although the table fails at each place at which a step asks it', async () => {
  const count = new Map<string, number>();
  // The n-th question of each run of a step: a run that is tried again comes one further.
  const runs = new WeakMap<object, number>();
  const options = withSteps();
  const perRun = new AsyncLocalStorage<object>();
  const places = failOnceAtEach(DynamoDBDocumentClient, (step) => {
    const run = perRun.getStore() ?? {};
    const nth = (runs.get(run) ?? 0) + 1;
    runs.set(run, nth);
    count.set(step, Math.max(nth, count.get(step) ?? 0));
    return `${step} ${nth}`;
  });
  const at = await scenario({
    ...options,
    service: {
      aroundStep: (step, _jobId, run) => asking.run(step as StepName, () => perRun.run({}, run)),
    },
  });
  const done = await at.job(await at.request(at.pool.vms()[0]?.uuid ?? ''));
  expectUnharmed(at, done);
  for (const step of OF_SNAPSHOT.filter((name) => !UNDOING.has(name)))
    expect(places, step).toContain(`${step} 1`);
  expect(places.size).toBeGreaterThan(50);
}, 300_000);

/** The steps from the one on in which the snapshot is there. */
const SINCE_SNAPSHOT: readonly string[] = OF_SNAPSHOT.slice(OF_SNAPSHOT.indexOf('PollSnapshot'));

/** What the plugin calls before it has sent a byte: it begins anew then, which is another try, but no upload is lost. */
const OF_THE_PLUGIN =
  /^(Start|Poll)Upload (session\.login_with_password|secret\.get_value|secret\.get_by_uuid|VM\.get_by_uuid|VM\.get_VBDs|VBD\.get_record|VDI\.get_record|SR\.get_(type|uuid))$/;

/** A job that met one fault in each of several states, and where these struck. */
interface Met {
  readonly struck: readonly string[];
  readonly done: SnapshotJob;
}

/**
 * Runs jobs one after the other until each call that a good job makes in these states has failed once. A job meets one
 * fault in each state, for a fault that passes is over when the next state begins.
 */
async function jobsWithFaults(states: readonly string[], isMeant: (call: string) => boolean): Promise<Met[]> {
  let state = '';
  const at = await scenario({
    ...withSteps(),
    service: {
      onState: (_job, entered) => {
        state = entered;
      },
    },
  });
  const vm = at.pool.vms()[0]?.uuid ?? '';
  const calls = new Set<string>();
  const taken = at.pool.faults.add({
    method: { test: (method: string) => !calls.add(`${state} ${method}`) } as unknown as RegExp,
    code: 'INTERNAL_ERROR',
  });
  await at.job(await at.request(vm));
  taken();
  const left = states.map((each) =>
    [...calls].filter((call) => call.startsWith(`${each} `) && isMeant(call)),
  );
  const met: Met[] = [];
  while (left.some((of) => of.length > 0)) {
    const wanted = new Set(left.flatMap((of) => of.splice(0, 1)));
    const struck: string[] = [];
    const takeBack = at.pool.faults.add({
      code: 'INTERNAL_ERROR',
      params: ['Unix_error'],
      method: {
        test: (method: string) => {
          const call = `${state} ${method}`;
          return wanted.delete(call) && struck.push(call) > 0;
        },
      } as unknown as RegExp,
    });
    const done = await at.job(await at.request(vm));
    takeBack();
    // Not every job makes every call: some depend on how far the upload is at the first look.
    met.push({ struck, done });
  }
  return met;
}

it('succeeds with one upload although the pool fails once at any call from the snapshot on', async () => {
  // A session that could not be ended is xapi's, which ends it after a day.
  const met = await jobsWithFaults(SINCE_SNAPSHOT, (call) => !call.endsWith('session.logout'));
  const struck = met.flatMap((each) => each.struck);
  expect(struck.length).toBeGreaterThan(20);
  for (const method of ['task.destroy', 'VM.remove_from_other_config', 'host.call_plugin', 'VDI.destroy'])
    expect(struck.join()).toContain(method);
  const uploads = (of: Met) => 1 + of.struck.filter((call) => OF_THE_PLUGIN.test(call)).length;
  expect(
    met
      .filter((each) => each.done.status !== 'succeeded' || (each.done.uploadAttempts ?? 0) > uploads(each))
      .map(({ struck, done: { status, error, uploadAttempts } }) => ({
        struck,
        status,
        error,
        uploadAttempts,
      })),
  ).toEqual([]);
}, 600_000);

it('succeeds although the secret can’t be destroyed all the while, and has the janitor do it', async () => {
  const at = await scenario(withSteps());
  const takeBack = at.pool.faults.add({ method: 'secret.destroy', code: 'INTERNAL_ERROR', params: ['x'] });
  const id = await at.request(at.pool.vms()[0]?.uuid ?? '');
  const told = await at.job(id, ({ finishedAt }) => finishedAt !== undefined);
  expect(told).toMatchObject({ status: 'succeeded', uploadAttempts: 1, debts: new Set(['secret']) });
  takeBack();
  await at.service.settled();
  await at.service.janitor();
  expect((await at.job(id)).debts).toBeUndefined();
});

it('begins an upload again whose task xapi ended before the plugin had begun', async () => {
  const at = await scenario(withSteps());
  at.pool.faults.add({
    ...{ method: 'host.call_plugin', code: 'INTERNAL_ERROR', params: ['x'], times: 1 },
    when: (args) => args.includes('put_vdis'),
  });
  const done = await at.job(await at.request(at.pool.vms()[0]?.uuid ?? ''));
  expect(done).toMatchObject({ status: 'succeeded', uploadAttempts: 2 });
});

it('leaves no token in the pool where the second try’s secret is made and the reply to that is lost', async () => {
  const at = await scenario(withSteps());
  at.pool.faults.add({
    ...{ method: 'host.call_plugin', code: 'INTERNAL_ERROR', params: ['x'], times: 1 },
    when: (args) => args.includes('put_vdis'),
  });
  at.pool.faults.add({ method: 'secret.create', drop: 'after', skip: 1, times: 1 });
  const done = await at.job(await at.request(at.pool.vms()[0]?.uuid ?? ''));
  expect(done).toMatchObject({ status: 'succeeded', uploadAttempts: 2 });
  expect(at.pool.calls.filter(({ method }) => method === 'secret.create')).toHaveLength(3);
  expect(await at.leftBehind()).toEqual([]);
});

/** Has the reply to the first command that fits be lost, `until` which is seen to when the command has been served. */
function loseReply(
  client: { prototype: { send: unknown } },
  fits: (command: string, input: Record<string, unknown>) => boolean,
  until: () => Promise<unknown> = async () => {},
): void {
  let lost = false;
  const send = client.prototype.send as (...args: unknown[]) => Promise<unknown>;
  vi.spyOn(client.prototype as { send: typeof send }, 'send').mockImplementation(async function (
    this: unknown,
    ...args
  ) {
    const command = args[0] as { input: Record<string, unknown> };
    if (lost || !fits(command.constructor.name, command.input)) return send.apply(this, args);
    lost = true;
    await send.apply(this, args);
    await until();
    throw failed();
  });
}

it('sends the snapshot once where all replies were lost to the record that it is about to be sent', async () => {
  const at = await scenario(withSteps());
  loseReply(DynamoDBDocumentClient, (command, input) => {
    return (
      command === 'UpdateCommand' && JSON.stringify(input).includes('attribute_not_exists(snapshotSentAt)')
    );
  });
  const done = await at.job(await at.request(at.pool.vms()[0]?.uuid ?? ''));
  expectUnharmed(at, done);
  expect(at.pool.calls.filter(({ method }) => method === 'Async.VM.snapshot')).toHaveLength(1);
});

it('gives no second request the job of a first one that was told of a failure', async () => {
  const at = await scenario(withSteps());
  loseReply(DynamoDBDocumentClient, (command, { Item }) => {
    const { kind } = (Item ?? {}) as { kind?: unknown };
    return command === 'PutCommand' && kind === 'job';
  });
  const ask = () =>
    at.ask('POST', '/snapshots', { vm: at.pool.vms()[0]?.uuid }, { 'idempotency-key': 'nightly' });
  expect((await ask()).status).toBe(503);
  const second = await ask();
  expect(second.status).toBe(202);
  expect(await at.job(second.body.id)).toMatchObject({ status: 'succeeded' });
});

it('answers with the job that runs although the reply to its start was lost', async () => {
  const at = await scenario(withSteps());
  const vm = at.pool.vms()[0]?.uuid ?? '';
  loseReply(
    SFNClient,
    (command) => command === 'StartExecutionCommand',
    async () => {
      const id = (await at.service.runtime.store.leases.holderOfVm('demo', vm)) ?? '';
      await at.job(id, ({ debts }) => debts?.has('relock') ?? false);
    },
  );
  const { status, body } = await at.ask('POST', '/snapshots', { vm });
  expect(status).toBe(202);
  expectUnharmed(at, await at.job(body.id));
});

it('lets no job run whose request failed before its execution had begun anything', async () => {
  const at = await scenario(withSteps());
  const vm = at.pool.vms()[0]?.uuid ?? '';
  vi.spyOn(at.service.runtime.executions, 'start').mockRejectedValueOnce(failed());
  expect((await at.ask('POST', '/snapshots', { vm })).status).toBe(503);
  expect(await at.service.runtime.store.leases.holderOfVm('demo', vm)).toBeUndefined();
  expect(at.glance.images()).toEqual([]);
});

it('answers with the job that runs although it cannot be read once more', async () => {
  const at = await scenario(withSteps());
  const { executions, store } = at.service.runtime;
  const start = executions.start.bind(executions);
  vi.spyOn(executions, 'start').mockImplementationOnce(async (jobId) => {
    await start(jobId);
    vi.spyOn(store.jobs, 'get').mockRejectedValueOnce(failed());
  });
  const { status, body } = await at.ask('POST', '/snapshots', { vm: at.pool.vms()[0]?.uuid });
  expect([status, body.status]).toEqual([202, 'starting']);
  expectUnharmed(at, await at.job(body.id));
});

it.each(['at once', 'one after the other'] as const)(
  'makes one snapshot where StartSnapshot runs twice, %s',
  async (how) => {
    const at = await scenario({
      pool: { vms: 1, diskMib: 2 },
      service: {
        async aroundStep(step, _jobId, run) {
          if (step !== 'StartSnapshot') return run();
          if (how === 'one after the other') await run();
          else void run().catch(() => undefined);
          return run();
        },
      },
    });
    expectUnharmed(at, await at.job(await at.request(at.pool.vms()[0]?.uuid ?? '')));
    expect(at.pool.calls.filter(({ method }) => method === 'Async.VM.snapshot')).toHaveLength(1);
  },
);

it('sends no second upload from a StartUpload that was taken for dead and goes on', async () => {
  const goOn = Promise.withResolvers<void>();
  let late: Promise<unknown> | undefined;
  const at: Scenario = await scenario({
    pool: { vms: 1, diskMib: 2 },
    glance: { token: 'token' },
    service: {
      async aroundStep(step, _jobId, run) {
        if (step !== 'StartUpload' || late) return run();
        at.pool.faults.add({ method: 'secret.create', times: 1, hold: goOn.promise });
        late = run();
        void late.catch(() => undefined);
        while (!at.pool.calls.some(({ method }) => method === 'secret.create')) await at.clock.sleep(0.1);
        throw Object.assign(new Error('Task timed out'), { name: 'Sandbox.Timedout' });
      },
    },
  });
  const done = await at.job(
    await at.request(at.pool.vms()[0]?.uuid ?? ''),
    ({ committed }) => committed === true,
  );
  goOn.resolve();
  await expect(late).rejects.toMatchObject({ name: 'ServiceUnavailable' });
  expectUnharmed(at, await at.job(done.id));
  const uploads = at.pool.calls.filter(({ args }) => args.includes('put_vdis'));
  expect(uploads).toHaveLength(1);
  // What it made before it was told lies in the pool, with our tag.
  await at.service.janitor();
});

it('leaves no record of an upload’s task that could not be put on record', async () => {
  const at = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const record = Jobs.prototype.record;
  vi.spyOn(Jobs.prototype, 'record').mockImplementation(function (this: Jobs, jobId, facts, forget) {
    if (!('uploadTask' in facts)) return record.call(this, jobId, facts, forget);
    return Promise.reject(new XensnapError('Internal', 'planted'));
  });
  const failed = await at.job(await at.request(at.pool.vms()[0]?.uuid ?? ''));
  expect(failed).toMatchObject({ status: 'failed', error: { message: 'planted' } });
  // The task may still be about to end.
  await vi.waitFor(async () => {
    const { findings } = await at.service.janitor();
    expect(findings).toMatchObject([{ kind: 'task', action: 'removed' }]);
  }, 30_000);
});

it.each([
  ['OTHER_OPERATION_IN_PROGRESS', 2, 'succeeded', ['VM', 'OpaqueRef:x']],
  ['INTERNAL_ERROR', 3, 'succeeded', ['x']],
  ['HOST_OFFLINE', 4, 'failed', ['OpaqueRef:x']],
  ['SR_BACKEND_FAILURE_109', 1, 'failed', ['', 'full']],
] as const)('ends after %s of %d snapshot tasks as %s', async (code, times, status, params) => {
  const at = await scenario({ pool: { vms: 1, diskMib: 2 } });
  at.pool.faults.add({ method: 'VM.snapshot', code, params: [...params], times });
  const done = await at.job(await at.request(at.pool.vms()[0]?.uuid ?? ''));
  expect(done.status).toBe(status);
  const sent = at.pool.calls.filter(({ method }) => method === 'Async.VM.snapshot').length;
  expect(sent).toBe(status === 'succeeded' ? times + 1 : times);
});
