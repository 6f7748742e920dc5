import type { HostView } from '../../functions/api/host-view.ts';
import type { JobView } from '../../functions/api/view.ts';
import { refusalOf } from './aws.ts';
import { CannotTell, type Check, expect, type Ground } from './check.ts';
import { historyOf } from './first-job.ts';

async function attributesOf({ aws, stack }: Ground): Promise<Readonly<Record<string, string>>> {
  const url = stack.one('AWS::SQS::Queue', 'HostQueue');
  const args = ['sqs', 'get-queue-attributes', '--queue-url', url, '--attribute-names', 'All'];
  return (await aws<{ Attributes: Record<string, string> }>(...args)).Attributes;
}

export const QUEUE: readonly Check[] = [
  {
    line: 'the queue is as it must be: FIFO, encrypted, 14 days, and nothing is given up',
    async run(ground) {
      const is = await attributesOf(ground);
      const wanted: Record<string, string> = {
        FifoQueue: 'true',
        ContentBasedDeduplication: 'true',
        DeduplicationScope: 'messageGroup',
        FifoThroughputLimit: 'perMessageGroupId',
        SqsManagedSseEnabled: 'true',
        MessageRetentionPeriod: String(14 * 86_400),
      };
      for (const [name, value] of Object.entries(wanted))
        expect(is[name] === value, `${name} is ${is[name]}`);
      expect(is.RedrivePolicy === undefined, 'it has a redrive policy');
      const { Timeout } = await ground.aws<{ Timeout: number }>(
        ...['lambda', 'get-function-configuration', '--function-name'],
        ground.stack.one('AWS::Lambda::Function', 'Admit'),
      );
      const visibility = Number(is.VisibilityTimeout);
      expect(
        visibility >= 6 * Timeout,
        `messages are hidden for ${visibility} s, less than six times ${Timeout}`,
      );
      return undefined;
    },
  },
  {
    line: 'a message that belongs to no job is deleted at its first receive',
    disturbs: 'raises the alarm MalformedMessage',
    async run(ground) {
      const url = ground.stack.one('AWS::SQS::Queue', 'HostQueue');
      const group = ['--message-group-id', 'prove/nobody', '--message-body', `nonsense of ${Date.now()}`];
      const since = String(Date.now() - 1000);
      const { MessageId } = await ground.aws<{ MessageId: string }>(
        ...['sqs', 'send-message', '--queue-url', url, ...group],
      );
      // A queue counts what has just been sent a minute later only: that it looks empty says nothing before.
      const log = ground.stack.one('AWS::Logs::LogGroup', 'AdmitLog');
      const received = await ground.eventually(async () => {
        const { events } = await ground.aws<{ events: readonly object[] }>(
          ...['logs', 'filter-log-events', '--log-group-name', log, '--start-time', since],
          ...['--filter-pattern', JSON.stringify(MessageId)],
        );
        return events.length > 0 ? true : undefined;
      }, 180);
      expect(received === true, 'after three minutes Admit has said nothing of it');
      const gone = await ground.eventually(async () => {
        const { ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible } =
          await attributesOf(ground);
        return ApproximateNumberOfMessages === '0' && ApproximateNumberOfMessagesNotVisible === '0'
          ? true
          : undefined;
      }, 180);
      if (!gone) throw new CannotTell('the queue was never empty: let no job wait meanwhile');
      return undefined;
    },
  },
  {
    line: 'no host has more jobs at a time than slots, and all of those that wait get their turn',
    needsVm: true,
    async run(ground) {
      const { vms } = ground;
      if (vms.length < 2)
        throw new CannotTell('name two VMs or more, with more of a host than it has slots: --vm');
      const jobs = await Promise.all(vms.map((vm) => ground.request<JobView>('snapshots', { vm })));
      const over: string[] = [];
      let waited = 0;
      const ended = await ground.eventually(async () => {
        const { hosts } = await ground.client.get<{ hosts: readonly HostView[] }>('/hosts');
        for (const { name, slots, holders, waiting } of hosts) {
          if (holders.length > slots) over.push(`${name} had ${holders.length} of ${slots}`);
          waited = Math.max(waited, waiting);
        }
        const now = await Promise.all(jobs.map(({ id }) => ground.client.get<JobView>(`/snapshots/${id}`)));
        return now.every(({ finishedAt, owes }) => finishedAt !== null && owes.length === 0)
          ? now
          : undefined;
      }, 7200);
      expect(over.length === 0, over.join('; '));
      expect(ended !== undefined, 'they have not all ended within two hours');
      const failed = ended.filter(({ status }) => status !== 'succeeded');
      expect(
        failed.length === 0,
        failed.map(({ id, status, error }) => `${id} ${status}: ${error?.message}`).join('; '),
      );
      if (waited === 0)
        throw new CannotTell(
          `none of ${jobs.length} jobs had to wait: name more VMs of a host than it has slots`,
        );
      return `${jobs.length} jobs, of which ${waited} waited at a time`;
    },
  },
];

const send = ({ aws }: Ground, token: string) =>
  refusalOf(aws('stepfunctions', 'send-task-success', '--task-token', token, '--task-output', '{}'));

export const TOKENS: readonly Check[] = [
  {
    line: 'a token that is none is InvalidToken',
    async run(ground) {
      const refused = await send(ground, 'nonsense');
      expect(refused === 'InvalidToken', `it is ${refused ?? 'taken'}`);
      return undefined;
    },
  },
  {
    line: 'a spent one is TaskTimedOut, TaskDoesNotExist or InvalidToken, which admission takes for the end',
    needsVm: true,
    async run(ground) {
      const { id } = await ground.firstJob();
      const parameters = (await historyOf(ground, id))
        .map(({ taskScheduledEventDetails }) => taskScheduledEventDetails?.parameters)
        .find((each) => each !== undefined);
      expect(parameters !== undefined, 'the history has no TaskScheduled');
      const { MessageBody } = JSON.parse(parameters) as { MessageBody: string | { taskToken: string } };
      const { taskToken } = typeof MessageBody === 'string' ? JSON.parse(MessageBody) : MessageBody;
      const refused = await send(ground, taskToken);
      expect(
        ['TaskTimedOut', 'TaskDoesNotExist', 'InvalidToken'].includes(refused ?? ''),
        `it is ${refused ?? 'taken, although it was used'}`,
      );
      return refused;
    },
  },
];
