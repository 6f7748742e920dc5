import { expect, expectTypeOf, it } from 'vitest';
import { ERROR_STATUS } from '../../functions/errors.ts';
import type { Facts, RestoreJob, SnapshotJob } from '../../functions/job.ts';
import { owe, record, type StepHandler, step } from '../../functions/step.ts';
import { STEP_HANDLERS } from '../../local/steps.ts';
import {
  FACTS,
  type FactBefore,
  type FactName,
  type JobInput,
  MACHINES,
  OUTCOME_OF_ERROR,
  type ResultOf,
  STEPS,
  type StateBefore,
  type StepName,
  type StepResults,
} from '../../statemachine/contract.ts';
import { RETRYABLE_ERRORS } from '../../statemachine/retries.ts';

// Most of these tests are the compiler's: `tsc` fails on an error that is expected here and does not come.

it('has a handler of its own for each step', () => {
  expect(Object.keys(STEP_HANDLERS)).toEqual(Object.keys(STEPS));
  expect(new Set(Object.values(STEP_HANDLERS)).size).toBe(Object.keys(STEPS).length);
  type Handlers = { readonly [S in StepName]: StepHandler<S> };
  expectTypeOf(STEP_HANDLERS).toEqualTypeOf<Handlers>();
  const { RelockVm: _missing, ...incomplete } = STEP_HANDLERS;
  // @ts-expect-error a step has no handler
  incomplete satisfies Handlers;
  // @ts-expect-error a handler stands in another's place, whose result is another
  ({ ...STEP_HANDLERS, PollUpload: STEP_HANDLERS.InspectVm }) satisfies Handlers;
  // @ts-expect-error a handler reads what is not there yet in another's place
  ({ ...STEP_HANDLERS, TakeVm: step('AwaitCoalesce', { needs: [] }, async () => aChain) }) satisfies Handlers;
});

const aPlace = { group: 'demo/h1', ticket: 't', confirmed: true };

const aChain = {
  settled: true,
  waitSeconds: 1,
  chain: [],
  mergeable: false,
  since: '',
  scannedAt: '',
  scanFailed: false,
};

it('has each step return what it writes, and nothing where it writes nothing', () => {
  expectTypeOf<ResultOf<'TakeVm'>>().toEqualTypeOf<StepResults['take']>();
  expectTypeOf<ResultOf<'ConfirmHost'>>().toEqualTypeOf<StepResults['place']>();
  expectTypeOf<ResultOf<'UnlockVm'>>().toEqualTypeOf<Record<string, never> | undefined>();
  step('TakeVm', { needs: [] }, async () => ({ taken: true, waitSeconds: 1 }));
  step('UnlockVm', { needs: [] }, async () => undefined);
  // @ts-expect-error a field is missing
  step('TakeVm', { needs: [] }, async () => ({ taken: true }));
  // @ts-expect-error a field has another type
  step('TakeVm', { needs: [] }, async () => ({ taken: 'yes', waitSeconds: 1 }));
  // @ts-expect-error no such way on
  step('PollUpload', { needs: [] }, async () => ({ next: 'retry', waitSeconds: 1 }));
  // @ts-expect-error it writes nothing
  step('UnlockVm', { needs: [] }, async () => ({ unlocked: true }));
  // @ts-expect-error there is no such step
  step('LockVm', { needs: [] }, async () => undefined);
});

it('lets a step rely on what earlier steps surely wrote, and on nothing else', () => {
  expectTypeOf<StateBefore<'TakeVm'>>().toExtend<JobInput>();
  expectTypeOf<StateBefore<'ConfirmHost'>['place']>().toEqualTypeOf<StepResults['place']>();
  expectTypeOf<StateBefore<'VerifyImage'>['upload']>().toEqualTypeOf<StepResults['upload']>();
  step('ConfirmHost', { needs: [] }, async ({ place }) => ({ ...place, confirmed: true }));
  // @ts-expect-error the line is chosen by a later step
  step('TakeVm', { needs: [] }, async (state) => ({ taken: state.place.confirmed, waitSeconds: 1 }));
  // @ts-expect-error a first look at the chain has no look before it
  step('AwaitCoalesce', { needs: [] }, async (state) => ({ ...aChain, since: state.coalesce.since }));
  step('ReleaseHost', { needs: [] }, async (state) => {
    // @ts-expect-error the cleanup line is entered from everywhere
    state.upload.next;
    // @ts-expect-error not every job fails
    state.failure.Error;
    return { status: 'succeeded' };
  });
  // @ts-expect-error a state's parts are not for a step to change
  step('DiscardImage', { needs: [] }, async (state) => void delete state.take);
});

it('lets a step need the facts that steps before it surely found, and no others', () => {
  expectTypeOf<FactBefore<'TakeVm'>>().toEqualTypeOf<never>();
  expectTypeOf<FactBefore<'RelockVm'>>().toEqualTypeOf<never>();
  step('StartUpload', { needs: ['templateUuid', 'vmRef'] }, async (_state, { job }) => {
    expectTypeOf(job.templateUuid).toEqualTypeOf<string>();
    expectTypeOf(job.uploadTask).toEqualTypeOf<SnapshotJob['uploadTask']>();
    return undefined;
  });
  // @ts-expect-error a later step finds it
  step('UnlockVm', { needs: ['templateUuid'] }, async () => undefined);
  // @ts-expect-error the step itself finds it
  step('InspectVm', { needs: ['hostRef'] }, async () => aPlace);
  // @ts-expect-error it is there only where the host was away
  step('VerifyImage', { needs: ['hostAwaySince'] }, async () => ({ backup: false }));
  // @ts-expect-error the cleanup line is entered from everywhere
  step('RelockVm', { needs: ['vmRef'] }, async () => undefined);
  // @ts-expect-error what is decided is no fact
  step('VerifyImage', { needs: ['committed'] }, async () => ({ backup: false }));
  step('StartUpload', { needs: [] }, async (_state, { job }) => {
    // @ts-expect-error what is not needed may be absent
    job.vmRef satisfies string;
    return undefined;
  });
});

it('lets a step of two machines need what both surely know before it, and hands it either job', () => {
  expectTypeOf<FactBefore<'ConfirmHost'>>().toEqualTypeOf<
    | 'startedAt'
    | 'group'
    | 'ticket'
    | 'hostRef'
    | 'hostUuid'
    | 'hostName'
    | 'srRef'
    | 'srUuid'
    | 'virtualBytes'
  >();
  expectTypeOf<FactBefore<'ReleaseHost'>>().toEqualTypeOf<never>();
  step('ConfirmHost', { needs: ['srUuid'] }, async (_state, { job }) => {
    expectTypeOf(job.machine).toEqualTypeOf<'snapshot' | 'restore'>();
    expectTypeOf(job.srUuid).toEqualTypeOf<string>();
    // @ts-expect-error a restore has no VM yet
    job.vmUuid satisfies string;
    return aPlace;
  });
  step('CreateVm', { needs: ['diskUuid'] }, async (_state, { job }) => {
    expectTypeOf(job).toExtend<RestoreJob>();
    return { test: false };
  });
  step('RelockVm', { needs: [] }, async (_state, { job }) => {
    expectTypeOf(job.vmUuid).toEqualTypeOf<string>();
    return undefined;
  });
  // @ts-expect-error the other machine has no such fact
  step('ConfirmHost', { needs: ['readsAsZeros'] }, async () => aPlace);
  // @ts-expect-error the machine has no such step before it
  step('CreateVm', { needs: ['templateUuid'] }, async () => undefined);
});

it('lets a step write the facts that are its own, and no others', () => {
  step('StartUpload', { needs: [] }, async (_state, deps) => {
    await record(deps, { uploadAttempts: 1 });
    // @ts-expect-error another step finds it
    await record(deps, { templateUuid: 'x' });
    // @ts-expect-error what is decided is written by the store's own methods
    await record(deps, { committed: true });
    // @ts-expect-error what the request fixed stays
    await owe(deps, 'plugin', { pool: 'another' });
    return undefined;
  });
});

it('has each fact found by some step, and each step that finds one among the steps', () => {
  expect(Object.keys(FACTS)).toEqual(Object.keys(STEPS));
  expectTypeOf<FactName>().toEqualTypeOf<keyof Facts>();
  for (const [name, { certain, possible }] of Object.entries(FACTS)) {
    const all = [...certain, ...possible];
    expect(new Set(all).size, name).toBe(all.length);
  }
});

it('has each step in some machine, where it stands once, and those of the snapshot in the order of the steps', () => {
  const lines = Object.values(MACHINES).map(({ forward, cleanup }): StepName[] => [...forward, ...cleanup]);
  expect(new Set(lines.flat())).toEqual(new Set(Object.keys(STEPS)));
  for (const line of lines) expect(new Set(line).size).toBe(line.length);
  const { forward, cleanup } = MACHINES.snapshot;
  const names = Object.keys(STEPS);
  expect([...forward, ...cleanup].map((name) => names.indexOf(name))).toEqual(
    [...forward, ...cleanup].map((name) => names.indexOf(name)).toSorted((a, b) => a - b),
  );
});

it('has no step do the job in one machine and clean up in another', () => {
  const all = Object.values(MACHINES);
  const forward: readonly StepName[] = all.flatMap((machine) => [...machine.forward]);
  const cleanup: readonly StepName[] = all.flatMap((machine) => [...machine.cleanup]);
  expect(forward.filter((name) => cleanup.includes(name))).toEqual([]);
});

it('does not let a step be declared without its settings', () => {
  type Settings = (typeof STEPS)[StepName];
  expectTypeOf<Settings['writes']>().toExtend<keyof StepResults | null>();
  // @ts-expect-error no such part of the state
  'uploads' satisfies Settings['writes'];
});

it('routes only on errors that somebody throws', () => {
  const names = Object.keys(ERROR_STATUS);
  expect(names).toEqual(expect.arrayContaining([...RETRYABLE_ERRORS]));
  expect(names).toEqual(expect.arrayContaining(Object.keys(OUTCOME_OF_ERROR)));
});

it('gives every Lambda a bounded time, and the ones without the pool or Glance no way to them', () => {
  for (const [name, { lambdaSeconds, memoryMib, reaches }] of Object.entries(STEPS)) {
    expect(lambdaSeconds, name).toBeGreaterThan(0);
    expect(lambdaSeconds, name).toBeLessThanOrEqual(900);
    expect(memoryMib, name).toBeGreaterThanOrEqual(128);
    expect(new Set(reaches).size, name).toBe(reaches.length);
  }
});
