import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AwsFailure } from './aws.ts';
import { type Check, expect, type Ground } from './check.ts';
import { definitionOf } from './first-job.ts';
import { zipOf } from './zip.ts';

/** Fails in the way that its event names. */
const CODE = `exports.handler = async ({ how }) => {
  if (how === 'sleep') await new Promise((resolve) => setTimeout(resolve, 10000));
  if (how === 'exit') process.exit(1);
  if (how === 'fill') for (const kept = []; ; ) kept.push(Buffer.alloc(8388608, 1));
  if (how === 'large') return 'x'.repeat(300000);
  throw Object.assign(new Error('as it was told'), { name: 'StillOwed' });
};
`;

/** A function that fails as it is told, and a role that may run it; both are gone in the end. */
async function makeProbe({ aws, atEnd, eventually }: Ground): Promise<{ function: string; role: string }> {
  const name = `xensnap-probe-${randomBytes(4).toString('hex')}`;
  const trust = {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { Service: ['lambda.amazonaws.com', 'states.amazonaws.com'] },
        Action: 'sts:AssumeRole',
      },
    ],
  };
  // Before it is made: of a call whose answer is lost nobody knows what it did.
  atEnd(`the role ${name}`, () => gone(aws('iam', 'delete-role', '--role-name', name)));
  const { Role } = await aws<{ Role: { Arn: string } }>(
    ...['iam', 'create-role', '--role-name', name, '--assume-role-policy-document', JSON.stringify(trust)],
  );
  const partition = Role.Arn.split(':')[1];
  const policy = {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Action: 'lambda:InvokeFunction',
        Resource: `arn:${partition}:lambda:*:*:function:${name}`,
      },
    ],
  };
  atEnd(`the policy of the role ${name}`, () =>
    gone(aws('iam', 'delete-role-policy', '--role-name', name, '--policy-name', 'invoke')),
  );
  await aws(
    ...['iam', 'put-role-policy', '--role-name', name, '--policy-name', 'invoke'],
    ...['--policy-document', JSON.stringify(policy)],
  );
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-probe-'));
  try {
    const file = join(folder, 'code.zip');
    await writeFile(file, zipOf('index.js', CODE));
    const create = [
      'lambda',
      'create-function',
      '--function-name',
      name,
      '--runtime',
      'nodejs24.x',
      '--role',
      Role.Arn,
    ];
    const sizes = [
      '--handler',
      'index.handler',
      '--memory-size',
      '128',
      '--timeout',
      '3',
      '--zip-file',
      `fileb://${file}`,
    ];
    atEnd(`the function ${name}`, () => gone(aws('lambda', 'delete-function', '--function-name', name)));
    const made = await eventually(async () => {
      try {
        return await aws<{ FunctionArn: string }>(...create, ...sizes);
      } catch (error) {
        // A role is not known everywhere at once.
        if (error instanceof AwsFailure && error.message.includes('cannot be assumed')) return undefined;
        throw error;
      }
    }, 60);
    expect(made !== undefined, 'the role that was just made cannot be assumed after a minute');
    await aws('lambda', 'wait', 'function-active-v2', '--function-name', name);
    return { function: made.FunctionArn, role: Role.Arn };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What has not been made need not be deleted. */
async function gone(deleting: Promise<unknown>): Promise<void> {
  try {
    await deleting;
  } catch (error) {
    const { code } = error as Partial<AwsFailure>;
    if (code !== 'NoSuchEntity' && code !== 'ResourceNotFoundException') throw error;
  }
}

const probes = new WeakMap<Ground, ReturnType<typeof makeProbe>>();

/** What Step Functions calls the error of a function that fails in this way. */
async function errorOf(ground: Ground, how: string): Promise<{ error?: string; cause?: string }> {
  const making = probes.get(ground) ?? makeProbe(ground);
  probes.set(ground, making);
  const probe = await making;
  const state = JSON.stringify({ Type: 'Task', Resource: probe.function, End: true });
  const args = ['stepfunctions', 'test-state', '--role-arn', probe.role, '--definition', state];
  const tried = await ground.eventually(async () => {
    const result = await ground.aws<{ error?: string; cause?: string }>(
      ...args,
      '--input',
      JSON.stringify({ how }),
    );
    // Nor are its rights.
    return result.cause?.includes('not authorized') ? undefined : result;
  }, 60);
  expect(tried !== undefined, 'the role that was just made has no rights after a minute');
  return tried;
}

const MAKES = 'makes a function and a role, and deletes them';

const retried = (line: string, how: string): Check => ({
  line: `${line} has a name that each Retry knows`,
  disturbs: MAKES,
  async run(ground) {
    const { error = 'no error', cause } = await errorOf(ground, how);
    const { States } = JSON.parse(await definitionOf(ground)) as {
      States: Record<string, { Type: string; Resource?: string; Retry?: { ErrorEquals: string[] }[] }>;
    };
    const steps = Object.entries(States).filter(
      ([, { Type, Resource }]) => Type === 'Task' && Resource?.includes(':function:'),
    );
    expect(steps.length > 0, 'the state machine calls no function');
    const without = steps
      .filter(([, { Retry = [] }]) => !Retry.some(({ ErrorEquals }) => ErrorEquals.includes(error)))
      .map(([name]) => name);
    expect(without.length === 0, `"${error}" (${cause}) is in no Retry of ${without.join(', ')}`);
    return error;
  },
});

export const ERRORS: readonly Check[] = [
  retried('a function that is over its time', 'sleep'),
  retried('a function that is out of memory', 'fill'),
  retried('a function whose process ends', 'exit'),
  {
    line: 'an error of ours keeps its name, and its cause is JSON with the message',
    disturbs: MAKES,
    async run(ground) {
      const { error, cause = '' } = await errorOf(ground, 'throw');
      expect(error === 'StillOwed', `it is "${error}"`);
      expect(cause.includes('"errorMessage"'), `its cause is ${cause}`);
      return undefined;
    },
  },
  {
    line: 'a result that is too large is States.DataLimitExceeded',
    disturbs: MAKES,
    async run(ground) {
      const { error } = await errorOf(ground, 'large');
      expect(error === 'States.DataLimitExceeded', `it is "${error}"`);
      return undefined;
    },
  },
];
