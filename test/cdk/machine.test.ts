import { readFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { MACHINES, STEPS, type StepName } from '../../statemachine/contract.ts';
import { EXAMPLE } from './settings.ts';
import { synthesize, target } from './synth.ts';

const stack = synthesize(EXAMPLE);
afterAll(stack.remove);

/** The state machines, each by its path in the stack, with its document and its steps. */
const machines = (
  [
    ['StateMachine', 'snapshot'],
    ['RestoreMachine', 'restore'],
  ] as const
).map(([path, name]) => ({
  path,
  name,
  machine: stack.one('AWS::StepFunctions::StateMachine', path).Properties,
  steps: [...MACHINES[name].forward, ...MACHINES[name].cleanup] as StepName[],
}));
const ofEach = machines.flatMap(({ machine, steps }) => steps.map((name) => [name, machine] as const));
const steps = Object.entries(STEPS) as [StepName, (typeof STEPS)[StepName]][];
const idOf = (name: string) =>
  Object.entries(stack.template.Resources).find(
    ([, { Type, Metadata }]) =>
      Type === 'AWS::Lambda::Function' && Metadata?.['aws:cdk:path'] === `Xensnap/Xensnap/${name}/Resource`,
  )?.[0];

it.each(machines)('has the definition in the template as it is in its file: $name', ({ name, machine }) => {
  const file = readFileSync(new URL(`../../statemachine/${name}.asl.json`, import.meta.url), 'utf8');
  expect(machine.DefinitionString).toBe(file);
});

it.each(machines)(
  'has a value for each placeholder of the definition, and none that is not used: $name',
  ({ machine }) => {
    const placeholders = [...machine.DefinitionString.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name);
    expect(new Set(placeholders)).toEqual(new Set(Object.keys(machine.DefinitionSubstitutions)));
    let definition: string = machine.DefinitionString;
    for (const name of placeholders) definition = definition.replace(`\${${name}}`, `arn-of-${name}`);
    expect(definition).not.toContain('${');
  },
);

it.each(ofEach)('calls %s by a version that outlives the next deployment', (name, machine) => {
  const versionId = target(machine.DefinitionSubstitutions[`${name}Arn`]) ?? '';
  const version = stack.template.Resources[versionId];
  expect(version).toMatchObject({ Type: 'AWS::Lambda::Version', DeletionPolicy: 'RetainExceptOnCreate' });
  expect(target(version?.Properties.FunctionName)).toBe(idOf(name));
});

it.each(steps)("gives %s the contract's memory and time, below its state's", (name, settings) => {
  const { Properties: made } = stack.one('AWS::Lambda::Function', name);
  expect(made).toMatchObject({
    MemorySize: settings.memoryMib,
    Timeout: settings.lambdaSeconds,
    Runtime: 'nodejs24.x',
    Architectures: ['arm64'],
    Handler: 'index.handler',
    TracingConfig: { Mode: 'Active' },
    Environment: { Variables: { NODE_OPTIONS: '--enable-source-maps' } },
  });
  expect(made.VpcConfig !== undefined).toBe(settings.reaches.length > 0);
  for (const { machine } of machines.filter((each) => each.steps.includes(name)))
    expect(JSON.parse(machine.DefinitionString).States[name].TimeoutSeconds).toBeGreaterThan(made.Timeout);
});

it.each(machines)(
  'may call its steps and their versions alone, and send to the host queue: $name',
  ({ path, steps: own }) => {
    const { Properties: policy } = stack.one('AWS::IAM::Policy', `${path}Role/DefaultPolicy`);
    const statements: { Action: string | string[]; Resource: unknown }[] = policy.PolicyDocument.Statement;
    const invoking = statements.filter(({ Action }) => Action === 'lambda:InvokeFunction');
    const granted = invoking.map(({ Resource }) => {
      const [itself, versions] = Resource as [unknown, { 'Fn::Join': [string, [unknown, string]] }];
      const [, [of, all]] = versions['Fn::Join'];
      expect([target(of), all]).toEqual([target(itself), ':*']);
      return target(itself);
    });
    expect(granted.toSorted()).toEqual(own.map((name) => idOf(name)).toSorted());
    const sending = statements.filter(({ Action }) => Action === 'sqs:SendMessage');
    expect(sending).toHaveLength(1);
    expect(stack.template.Resources[target(sending[0]?.Resource) ?? '']?.Properties.FifoQueue).toBe(true);
  },
);

it.each(machines)('logs errors without the data, and traces: $name', ({ machine }) => {
  expect(machine).toMatchObject({
    LoggingConfiguration: { Level: 'ERROR', IncludeExecutionData: false },
    TracingConfiguration: { Enabled: true },
  });
});
