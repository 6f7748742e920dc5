import type { ImageView } from '../../functions/api/image-view.ts';
import type { RestoreView } from '../../functions/api/restore-view.ts';
import { type Check, expect, type Ground } from './check.ts';

type Item = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

async function itemOf({ aws, stack }: Ground, id: string): Promise<Item | undefined> {
  const answer = await aws<{ Item?: Item } | undefined>(
    'dynamodb',
    'get-item',
    '--consistent-read',
    '--table-name',
    stack.one('AWS::DynamoDB::Table', 'Table'),
    '--key',
    JSON.stringify({ id: { S: id } }),
  );
  return answer?.Item;
}

export const FIRST_JOB: readonly Check[] = [
  {
    line: 'a snapshot succeeds, and owes nothing',
    needsVm: true,
    async run({ firstJob }) {
      const { id, warnings } = await firstJob();
      return [`job ${id}`, ...warnings].join('; ');
    },
  },
  {
    line: 'its image is a restore point: verified, and nothing in its way',
    needsVm: true,
    async run({ client, firstJob, vms }) {
      const { id } = await firstJob();
      const path = `/images?vm=${encodeURIComponent(vms[0] ?? '')}`;
      const { images } = await client.get<{ images: readonly ImageView[] }>(path);
      const image = images.find((each) => each.id === id);
      expect(image !== undefined, `it is not in the list of its VM (${images.length} others are)`);
      expect(image.verified, 'it is not verified');
      expect(image.refusal === null, `it cannot be restored: ${image.refusal?.message}`);
      return undefined;
    },
  },
  {
    line: "its record is closed: no debts, a time to live; and its host's slot is free",
    needsVm: true,
    async run(ground) {
      const { id, pool, hostUuid } = await ground.firstJob();
      const job = await itemOf(ground, `job#${id}`);
      expect(job !== undefined, 'the table has no record of it');
      for (const field of ['debts', 'open']) expect(!(field in job), `the record has "${field}"`);
      expect('ttl' in job, 'the record has no "ttl"');
      const holders = (await itemOf(ground, `host#${pool}/${hostUuid}`))?.holders;
      // A set whose last member went is gone; that is what lets the next one in.
      const holding = (holders?.SS ?? []) as readonly string[];
      expect(holders === undefined || holding.length > 0, 'the host has an empty set of holders');
      expect(!holding.includes(id), 'it still has a slot of its host');
      return undefined;
    },
  },
  {
    line: 'a restore of it, made to be proved and taken away again, succeeds',
    needsVm: true,
    async run(ground) {
      const { id } = await ground.firstJob();
      const asked = await ground.request<RestoreView>('restores', { image: id, test: true });
      await ground.until(asked, ({ status, owes }) => status === 'succeeded' && owes.length === 0, 3600);
      return `job ${asked.id}`;
    },
  },
];

interface Event {
  readonly type: string;
  readonly taskScheduledEventDetails?: { readonly parameters: string };
  readonly executionAbortedEventDetails?: object;
}

export function executionOf({ stack }: Ground, jobId: string): string {
  const machine = stack.one('AWS::StepFunctions::StateMachine', 'StateMachine');
  return `${machine.replace(':stateMachine:', ':execution:')}:${jobId}`;
}

export async function historyOf(ground: Ground, jobId: string): Promise<readonly Event[]> {
  const arn = executionOf(ground, jobId);
  const args = ['stepfunctions', 'get-execution-history', '--include-execution-data', '--execution-arn', arn];
  return (await ground.aws<{ events: readonly Event[] }>(...args)).events;
}

/** The state machine's document as it is deployed. */
export async function definitionOf({ aws, stack }: Ground): Promise<string> {
  const machine = stack.one('AWS::StepFunctions::StateMachine', 'StateMachine');
  const args = ['stepfunctions', 'describe-state-machine', '--state-machine-arn', machine];
  return (await aws<{ definition: string }>(...args)).definition;
}

export const HISTORY: readonly Check[] = [
  {
    line: 'the state machine calls each step by a version',
    async run(ground) {
      const definition = await definitionOf(ground);
      expect(!definition.includes('${'), 'a placeholder was left in its document');
      const { States } = JSON.parse(definition) as { States: Record<string, { Resource?: string }> };
      const functions = Object.values(States)
        .map(({ Resource = '' }) => Resource)
        .filter((resource) => resource.includes(':function:'));
      const wrong = functions.filter((resource) => !/:\d+$/.test(resource));
      expect(functions.length > 0 && wrong.length === 0, `without a version: ${wrong.join(', ') || 'all'}`);
      return `${functions.length} steps`;
    },
  },
  {
    line: 'its history has the events that the cost is worked out from',
    needsVm: true,
    async run(ground) {
      const { id } = await ground.firstJob();
      const counted = new Map<string, number>();
      for (const { type } of await historyOf(ground, id)) counted.set(type, (counted.get(type) ?? 0) + 1);
      const of = (type: string) => counted.get(type) ?? 0;
      const ended = of('LambdaFunctionSucceeded') + of('LambdaFunctionFailed') + of('LambdaFunctionTimedOut');
      expect(
        of('LambdaFunctionScheduled') === ended,
        `${of('LambdaFunctionScheduled')} calls begun, ${ended} ended`,
      );
      const left = of('LambdaFunctionSucceeded') + of('TaskSucceeded');
      expect(of('TaskStateExited') === left, `${of('TaskStateExited')} tasks left, ${left} succeeded`);
      for (const type of ['TaskScheduled', 'TaskStarted', 'TaskSubmitted', 'TaskSucceeded'])
        expect(
          of(type) === of('TaskScheduled') && of(type) > 0,
          `${of(type)} ${type} of ${of('TaskScheduled')} waits`,
        );
      return [...counted].map(([type, times]) => `${times} ${type}`).join(', ');
    },
  },
  {
    line: 'neither its data nor its end hold a name of the VM, a password or a token of Glance or a pool',
    needsVm: true,
    async run(ground) {
      const { id, vm } = await ground.firstJob();
      const text = JSON.stringify(await historyOf(ground, id));
      for (const secret of [vm.name, 'OpaqueRef:', 'password', 'X-Auth-Token'])
        expect(!text.toLowerCase().includes(secret.toLowerCase()), `it holds ${JSON.stringify(secret)}`);
      const args = ['stepfunctions', 'describe-execution', '--execution-arn', executionOf(ground, id)];
      const { output } = await ground.aws<{ output: string }>(...args);
      const { place } = JSON.parse(output) as { place?: object };
      expect(
        Object.keys(place ?? {})
          .toSorted()
          .join() === 'confirmed,group,ticket',
        `a step's result is not raw: ${JSON.stringify(place)}`,
      );
      return undefined;
    },
  },
];
