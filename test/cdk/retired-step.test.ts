import { afterAll, expect, it, vi } from 'vitest';
import { MACHINES, type RETIRED_STEPS, STEPS } from '../../statemachine/contract.ts';
import { scenario } from '../support/scenario.ts';
import { EXAMPLE } from './settings.ts';
import { type Synthesized, synthesize, target } from './synth.ts';
import { calledBy, type Functions, update } from './updated.ts';

/** The step that the next release drops: the last but one of every job. */
const DROPPED = 'RelockVm';

const thisRelease = synthesize(EXAMPLE);
const nextRelease = await withoutStep({ [DROPPED]: STEPS[DROPPED] });
const careless = await withoutStep({});
afterAll(() => {
  for (const release of [thisRelease, nextRelease, careless]) release.remove();
});

/** The release after this one, whose snapshots pass one step less. */
async function withoutStep(retired: typeof RETIRED_STEPS): Promise<Synthesized> {
  vi.resetModules();
  vi.doMock('../../statemachine/contract.ts', async (original) => {
    const { [DROPPED]: _, ...steps } = STEPS;
    const { snapshot, restore } = MACHINES;
    const cleanup = snapshot.cleanup.filter((name) => name !== DROPPED);
    return {
      ...(await original<object>()),
      STEPS: steps,
      RETIRED_STEPS: retired,
      MACHINES: { snapshot: { ...snapshot, cleanup }, restore },
    };
  });
  vi.doMock('../../cdk/definition.ts', async (original) => {
    const { definitionOf } = await original<typeof import('../../cdk/definition.ts')>();
    return { definitionOf: (machine: 'snapshot' | 'restore') => without(definitionOf(machine)) };
  });
  try {
    return (await import('./synth.ts')).synthesize(EXAMPLE);
  } finally {
    vi.doUnmock('../../statemachine/contract.ts');
    vi.doUnmock('../../cdk/definition.ts');
    vi.resetModules();
  }
}

function without(definition: string): string {
  const document = JSON.parse(definition);
  const { [DROPPED]: dropped, ...States } = document.States;
  const text = JSON.stringify({ ...document, States });
  return dropped ? text.replaceAll(`"Next":"${DROPPED}"`, `"Next":"${dropped.Next}"`) : text;
}

const deployed = update(new Map(), thisRelease);
const pinned = Object.keys(STEPS)
  .filter((name) =>
    [...MACHINES.snapshot.forward, ...MACHINES.snapshot.cleanup].some((each) => each === name),
  )
  .map((name) => [name, calledBy(thisRelease, 'StateMachine', name)] as const);

const isThere = (functions: Functions, called: ReturnType<typeof calledBy>) =>
  called !== undefined && functions.get(called.function)?.has(called.version) === true;

it('drops a step, in these tests', () => {
  expect(calledBy(thisRelease, 'StateMachine', DROPPED)).toBeDefined();
  for (const release of [nextRelease, careless]) {
    expect(calledBy(release, 'StateMachine', DROPPED)).toBeUndefined();
    expect(
      release.one('AWS::StepFunctions::StateMachine', 'StateMachine').Properties.DefinitionString,
    ).not.toContain(DROPPED);
  }
});

it('keeps every version that a document of the last release calls, of a step that was retired too', () => {
  const after = update(deployed, nextRelease);
  expect(pinned.filter(([, called]) => !isThere(after, called))).toEqual([]);
});

it('would lose the versions of a step that was only dropped', () => {
  const after = update(deployed, careless);
  expect(pinned.filter(([, called]) => !isThere(after, called)).map(([name]) => name)).toEqual([DROPPED]);
});

it('leaves a retired step its rights, and the machines theirs to call it', () => {
  const policy = (release: Synthesized, role: string) =>
    release.one('AWS::IAM::Policy', `${role}/DefaultPolicy`).Properties.PolicyDocument.Statement;
  expect(policy(nextRelease, `${DROPPED}Role`)).toEqual(policy(thisRelease, `${DROPPED}Role`));
  const callable = policy(nextRelease, 'StateMachineRole')
    .filter(({ Action }: { Action: unknown }) => Action === 'lambda:InvokeFunction')
    .map(({ Resource }: { Resource: readonly unknown[] }) => target(Resource[0]));
  expect(callable).toContain(calledBy(thisRelease, 'StateMachine', DROPPED)?.function);
});

it('ends a job that was under way when the step was dropped as the release that it began with does', async () => {
  let functions = deployed;
  const passed: string[] = [];
  const s = await scenario({
    service: {
      onState(_job, state) {
        if (state === 'PollUpload') functions = update(functions, nextRelease);
      },
      async aroundStep(step, _job, run) {
        passed.push(step);
        if (isThere(functions, calledBy(thisRelease, 'StateMachine', step))) return run();
        throw Object.assign(new Error(`no function of ${step}`), {
          name: 'Lambda.ResourceNotFoundException',
        });
      },
    },
  });
  const job = await s.job(await s.request(s.pool.vms()[0]?.uuid ?? ''));
  expect(job.status).toBe('succeeded');
  expect(passed).toContain(DROPPED);
  expect(functions).not.toBe(deployed);
});
