import { CannotTell, type Check, expect, type Ground } from './check.ts';

interface TrailEvent {
  readonly CloudTrailEvent: string;
}

interface Called {
  readonly eventName: string;
  readonly errorCode?: string;
  readonly userIdentity: { readonly arn?: string };
}

/** As many events of CloudTrail's as are looked at: it hands out a hundred in a second. */
const MOST_EVENTS = 1000;

/** EC2 has a word of its own for it. */
const REFUSED = /^(AccessDenied|(Client\.)?UnauthorizedOperation)/;

export const RIGHTS: readonly Check[] = [
  {
    line: "none of xensnap's roles was refused anything, as CloudTrail has it",
    async run({ aws, stack }) {
      const roles = [...stack.all('AWS::IAM::Role').values()];
      const refused = new Set<string>();
      let seen = 0;
      for (const readOnly of ['true', 'false']) {
        const { Events } = await aws<{ Events: readonly TrailEvent[] }>(
          ...['cloudtrail', 'lookup-events', '--max-items', String(MOST_EVENTS)],
          ...['--lookup-attributes', `AttributeKey=ReadOnly,AttributeValue=${readOnly}`],
        );
        for (const { CloudTrailEvent } of Events) {
          const { eventName, errorCode = '', userIdentity } = JSON.parse(CloudTrailEvent) as Called;
          const role = roles.find((each) => userIdentity.arn?.includes(`:assumed-role/${each}/`));
          if (role) seen += 1;
          if (role && REFUSED.test(errorCode)) refused.add(`${role}: ${eventName}`);
        }
      }
      expect(refused.size === 0, [...refused].join('; '));
      if (seen === 0)
        throw new CannotTell(
          `of the newest ${2 * MOST_EVENTS} events none is theirs: they come some 15 minutes late`,
        );
      return `${seen} events of theirs, among the newest ${2 * MOST_EVENTS}; calls of table and queue are not among them`;
    },
  },
];

/** What Lambda itself writes where a function's log is text. */
const PLATFORM = /^(START|END|REPORT|INIT_START|XRAY|EXTENSION|LOGS|RESTORE_START|RESTORE_REPORT)\b/;

/** The last hour's lines of every function that are xensnap's own, by their log groups. */
async function linesOf({ aws, stack }: Ground): Promise<ReadonlyMap<string, readonly string[]>> {
  const lines = new Map<string, readonly string[]>();
  const functions = stack.all('AWS::Lambda::Function');
  for (const [name, group] of stack.all('AWS::Logs::LogGroup')) {
    if (!functions.has(name.replace(/Log$/, ''))) continue;
    const { events } = await aws<{ events: { message: string }[] }>(
      ...['logs', 'filter-log-events', '--log-group-name', group, '--max-items', '500'],
      ...['--start-time', String(Date.now() - 3_600_000)],
    );
    lines.set(
      name,
      events.map(({ message }) => message).filter((message) => !PLATFORM.test(message)),
    );
  }
  return lines;
}

export const LOGS: readonly Check[] = [
  {
    line: 'every line of every function is JSON, and none holds a session of a pool',
    async run(ground) {
      const lines = await linesOf(ground);
      let seen = 0;
      const silent = new Set(lines.keys());
      for (const [name, ofFunction] of lines)
        for (const line of ofFunction) {
          silent.delete(name);
          seen += 1;
          // What is printed is kept: a session is not for that.
          const [before = '', ...found] = line.split('OpaqueRef:');
          expect(found.length === 0, `${name} has a reference of a pool's after: ${before.slice(-60)}`);
          expect(isJson(line), `${name}: ${line.slice(0, 120)}`);
        }
      if (seen === 0) throw new CannotTell('no function has written anything for an hour');
      const told = `${seen} lines of ${lines.size - silent.size} functions`;
      return silent.size === 0 ? told : `${told}; silent for an hour: ${[...silent].join(', ')}`;
    },
  },
  {
    line: 'metrics are written, and none has a dimension for each job or VM',
    async run({ aws }) {
      const { Metrics } = await aws<{ Metrics: { MetricName: string; Dimensions: { Value: string }[] }[] }>(
        ...['cloudwatch', 'list-metrics', '--namespace', 'xensnap'],
      );
      if (Metrics.length === 0) throw new CannotTell('there are none yet: let a job run first');
      const wrong = Metrics.filter(({ Dimensions }) => Dimensions.some(({ Value }) => UUID.test(Value)));
      expect(wrong.length === 0, wrong.map(({ MetricName }) => MetricName).join(', '));
      return `${Metrics.length} metrics`;
    },
  },
];

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-/;

function isJson(line: string): boolean {
  try {
    return typeof JSON.parse(line) === 'object';
  } catch {
    return false;
  }
}
