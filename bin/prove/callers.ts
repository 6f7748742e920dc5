import type { DiagnosisView } from '../../functions/api/doctor-view.ts';
import { ApiRefused } from '../failures.ts';
import { CannotTell, type Check, expect } from './check.ts';

/** So many requests of strangers at once are more than the API takes, unless its settings say more. */
const FLOOD = 200;

export const CALLERS: readonly Check[] = [
  {
    line: 'versions and health are for everybody, and health says one word',
    async run({ asStranger }) {
      for (const path of ['/', '/v2.1', '/v1.0', '/healthz']) {
        const { status, text } = await asStranger('GET', path);
        expect(status === 200, `GET ${path}: ${status}`);
        if (path === '/healthz') expect(text === '{"status":"ok"}', `GET ${path}: ${text}`);
      }
      return undefined;
    },
  },
  {
    line: 'nothing else is',
    async run({ asStranger }) {
      for (const path of ['/vms', '/snapshots', '/v2.1/servers', '/janitor', '/docs']) {
        const { status } = await asStranger('GET', path);
        expect(status === 401 || status === 403, `GET ${path}: ${status}`);
      }
      return undefined;
    },
  },
  {
    line: 'a token that nobody gave out, and a signature that is none, are refused',
    async run({ asStranger }) {
      const wrong = [
        { authorization: 'Bearer nobody-gave-this-out' },
        { 'x-auth-token': 'nobody-gave-this-out' },
        {
          authorization:
            'AWS4-HMAC-SHA256 Credential=x/20260101/x/execute-api/aws4_request, SignedHeaders=host, Signature=0',
        },
      ];
      for (const headers of wrong) {
        const { status } = await asStranger('GET', '/vms', headers);
        expect(status === 401 || status === 403, `${Object.keys(headers)[0]}: ${status}`);
      }
      return undefined;
    },
  },
  {
    line: 'the operator is let in, and sees VMs',
    async run({ client }) {
      const { vms } = await client.get<{ vms: readonly object[] }>('/vms');
      expect(vms.length > 0, 'there are none');
      return `${vms.length} VMs`;
    },
  },
  {
    line: 'a name that has to be escaped is not taken for a wrong signature',
    async run({ client }) {
      try {
        await client.get('/snapshots?vm=a%20b%2Bc%27d');
      } catch (error) {
        if (!(error instanceof ApiRefused)) throw error;
        // What failed has not looked at the name.
        expect([400, 404].includes(error.status), `${error.status}: ${error.message}`);
      }
      return undefined;
    },
  },
  {
    line: 'the doctor finds nothing wrong',
    async run({ client }) {
      const { checks } = await client.get<DiagnosisView>('/doctor');
      expect(checks.length > 0, 'it has looked at nothing');
      const wrong = checks.filter(({ status }) => status === 'failed');
      expect(wrong.length === 0, wrong.map(({ what, found }) => `${what}: ${found}`).join('; '));
      return `${checks.length} looks`;
    },
  },
  {
    line: 'the access log names who called',
    async run({ aws, stack, client, eventually }) {
      const since = Date.now();
      await client.get('/hosts');
      const named = await eventually(async () => {
        const { events } = await aws<{ events: { message: string }[] }>(
          'logs',
          'filter-log-events',
          '--log-group-name',
          stack.one('AWS::Logs::LogGroup', 'AccessLog'),
          '--start-time',
          String(since - 1000),
        );
        const entries = events.map(({ message }) => JSON.parse(message) as Record<string, string>);
        return entries
          .filter(({ path }) => path === '/hosts')
          .map(({ caller, subject, client: id, user }) =>
            [caller, subject, id, user].find((each) => each && each !== '-'),
          )
          .find((who) => who !== undefined);
      }, 120);
      expect(named !== undefined, 'after two minutes it has nobody for GET /hosts');
      return named;
    },
  },
  {
    line: 'a flood at /healthz is throttled, and the operator is served beside it',
    disturbs: `asks ${FLOOD} times at once`,
    async run({ asStranger, client }) {
      const flood = Array.from({ length: FLOOD }, () => asStranger('GET', '/healthz'));
      const [statuses] = await Promise.all([
        Promise.all(flood.map(async (answer) => (await answer).status)),
        client.get('/hosts').catch((error) => {
          // Its own turn may come to the same limit.
          if (!(error instanceof ApiRefused && error.status === 429)) throw error;
        }),
      ]);
      const throttled = statuses.filter((status) => status === 429).length;
      if (throttled === 0) throw new CannotTell('nothing was throttled: the settings let more through');
      const others = new Set(statuses.filter((status) => status !== 429 && status !== 200));
      expect(others.size === 0, `some were answered ${[...others].join(', ')}`);
      await client.get('/hosts');
      return `${throttled} of ${FLOOD} throttled`;
    },
  },
];
