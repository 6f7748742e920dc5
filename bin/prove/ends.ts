import type { LastRoundView } from '../../functions/api/janitor-view.ts';
import type { JobView } from '../../functions/api/view.ts';
import { ApiRefused } from '../failures.ts';
import { type Check, expect, type Ground } from './check.ts';
import { executionOf, historyOf } from './first-job.ts';

/** The janitor comes every 15 minutes. */
const JANITOR_SECONDS = 20 * 60;
/** What is not over by then has not been paid by whom it should. */
const RECONCILE_SECONDS = 10 * 60;

/** A job that is under way, in one of these phases or any. */
async function underWay(ground: Ground, phases: readonly string[] = []): Promise<JobView> {
  const job = await ground.request<JobView>('snapshots', { vm: ground.vms[0] });
  const reached = ({ phase, status }: JobView) =>
    status === 'running' && (phases.length === 0 || phases.includes(phase));
  return ground.until(job, reached, 3600);
}

const endedAs = (status: JobView['status']) => (job: JobView) =>
  job.status === status && job.owes.length === 0;

function cancelled(phases: readonly string[], when: string): Check {
  return {
    line: `a job that is cancelled ${when} ends cancelled, and owes nothing`,
    needsVm: true,
    async run(ground) {
      const job =
        phases.length === 0
          ? await ground.request<JobView>('snapshots', { vm: ground.vms[0] })
          : await underWay(ground, phases);
      await ground.client.delete(`/snapshots/${job.id}`);
      const { phase } = await ground.until(job, endedAs('cancelled'), RECONCILE_SECONDS);
      return `last ${phase}`;
    },
  };
}

export const CANCEL: readonly Check[] = [
  cancelled([], 'at once'),
  cancelled(['PollUpload'], 'during its upload'),
];

async function stop(ground: Ground, { id }: JobView): Promise<void> {
  await ground.aws('stepfunctions', 'stop-execution', '--execution-arn', executionOf(ground, id));
}

export const ENDS: readonly Check[] = [
  {
    line: "the janitor's last round is not older than its pause, and it cannot be asked for one",
    async run({ client }) {
      const { finishedAt, findings } = await client.get<LastRoundView>('/janitor');
      const minutes = (Date.now() - Date.parse(finishedAt)) / 60_000;
      expect(minutes < JANITOR_SECONDS / 60, `its last round ended ${Math.round(minutes)} minutes ago`);
      const refused = await client.post('/janitor', {}).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(
        refused instanceof ApiRefused && refused.status === 501,
        `POST /janitor: ${refused ?? 'a round was begun'}`,
      );
      return `${findings.length} findings`;
    },
  },
  {
    line: 'reconcile pays what an execution owes that was stopped, which no Catch sees',
    needsVm: true,
    disturbs: 'stops an execution of its own: the alarm JobFailed is raised',
    async run(ground) {
      const job = await underWay(ground, ['PollUpload']);
      const began = Date.now();
      await stop(ground, job);
      await ground.until(job, endedAs('failed'), RECONCILE_SECONDS);
      const { type } = (await historyOf(ground, job.id)).at(-1) ?? { type: 'no event' };
      expect(type === 'ExecutionAborted', `its last event is ${type}`);
      return `after ${Math.round((Date.now() - began) / 1000)} s`;
    },
  },
  {
    line: 'the janitor pays it where nobody told of the end',
    needsVm: true,
    disturbs: 'switches the rule JobEnded off for some 20 minutes, and stops an execution of its own',
    async run(ground) {
      const rule = ground.stack.one('AWS::Events::Rule', 'JobEnded');
      const job = await underWay(ground, ['PollUpload']);
      ground.atEnd('the rule JobEnded is off', () => ground.aws('events', 'enable-rule', '--name', rule));
      await ground.aws('events', 'disable-rule', '--name', rule);
      const began = Date.now();
      await stop(ground, job);
      await ground.until(job, endedAs('failed'), JANITOR_SECONDS + 900);
      await ground.aws('events', 'enable-rule', '--name', rule);
      return `after ${Math.round((Date.now() - began) / 60_000)} minutes`;
    },
  },
  {
    line: 'every alarm reaches its topic',
    disturbs: 'raises each alarm: whoever subscribed gets two e-mails of each',
    async run({ aws, stack, eventually }) {
      const since = new Date(Date.now() - 60_000).toISOString();
      const alarms = [...stack.all('AWS::CloudWatch::Alarm')];
      expect(alarms.length > 0, 'the stack has none');
      for (const [, name] of alarms)
        await aws(
          ...['cloudwatch', 'set-alarm-state', '--alarm-name', name],
          ...['--state-value', 'ALARM', '--state-reason', 'prove-aws'],
        );
      const missing = new Map(alarms);
      await eventually(async () => {
        for (const [of, name] of missing) {
          const history = ['cloudwatch', 'describe-alarm-history', '--alarm-name', name];
          const { AlarmHistoryItems } = await aws<{ AlarmHistoryItems: { HistorySummary: string }[] }>(
            ...history,
            ...['--history-item-type', 'Action', '--start-date', since],
          );
          if (AlarmHistoryItems.some(({ HistorySummary }) => HistorySummary.startsWith('Successfully')))
            missing.delete(of);
        }
        return missing.size === 0 ? true : undefined;
      }, 180);
      expect(missing.size === 0, `these told nobody: ${[...missing.keys()].join(', ')}`);
      return `${alarms.length} alarms`;
    },
  },
];
