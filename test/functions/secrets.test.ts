import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';
import { GetExecutionHistoryCommand } from '@aws-sdk/client-sfn';
import { expect, it } from 'vitest';
import { collectMetrics, type Measured } from '../../functions/metrics.ts';
import type { WholeRuntime } from '../../functions/runtime.ts';
import { LOCAL_AWS } from '../../local/aws/in-process.ts';
import { startTable } from '../../local/aws/table.ts';
import { tableDefinition } from '../../local/table-definition.ts';
import { CREDENTIAL, stubKeystone } from '../glance-client/stub-keystone.ts';
import { type Scenario, scenario } from '../support/scenario.ts';

const PASSWORD = 'planted-pool-password';
const TOKEN = 'planted-glance-token';

/** The command line of every process, as `ps` shows it. */
function commandLines(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => readQuietly(`/proc/${pid}/cmdline`));
}

/** The text of every file that the plugin may have written in the control domains, disks left out. */
function filesOfDom0(pool: Scenario['pool']): string[] {
  return pool.hosts.flatMap(({ dom0Root }) =>
    ['var/run/xensnap', 'tmp', 'var/log'].flatMap((folder) => {
      const path = join(dom0Root, folder);
      return listQuietly(path).map((name) => `${name}: ${readQuietly(join(path, name))}`);
    }),
  );
}

function readQuietly(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

function listQuietly(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' });
  } catch {
    return [];
  }
}

async function historyOf(jobId: string, { sfn }: WholeRuntime): Promise<unknown[]> {
  const executionArn = `arn:aws:states:us-east-1:000000000000:execution:xensnap:${jobId}`;
  const events: unknown[] = [];
  let nextToken: string | undefined;
  do {
    const page = await sfn.send(
      new GetExecutionHistoryCommand({ executionArn, includeExecutionData: true, nextToken }),
    );
    events.push(...(page.events ?? []));
    nextToken = page.nextToken;
  } while (nextToken);
  return events;
}

/** Every item of the table of a service that is closed. */
async function itemsOf(dataDir: string): Promise<unknown[]> {
  const table = await startTable({ dataDir, tableName: 'xensnap', definition: tableDefinition() });
  const client = new DynamoDBClient({ ...LOCAL_AWS, endpoint: table.endpoint });
  const { Items = [], LastEvaluatedKey } = await client.send(new ScanCommand({ TableName: 'xensnap' }));
  expect(LastEvaluatedKey).toBeUndefined();
  client.destroy();
  await table.close();
  return Items;
}

it('keeps passwords, tokens, credentials and sessions out of logs, metrics, records, histories, answers, arguments and files', async () => {
  const keystone = await stubKeystone();
  // Every token that it gives is the one that Glance takes.
  keystone.next.push(...Array.from({ length: 50 }, () => TOKEN));
  const metrics: Measured[] = [];
  const { pool, glance, service, folder, logs, ask, request, job, leftBehind } = await scenario({
    // Its table is read once the service is closed.
    restarts: true,
    leaves: 'unknown',
    pool: { password: PASSWORD },
    glance: { token: TOKEN },
    service: ({ glance }) => ({
      glance: { url: glance.url, keystone: { url: keystone.url, credential: CREDENTIAL } },
      metrics: collectMetrics((measured) => metrics.push(measured)),
    }),
  });
  const sessions = new Set<string>();
  const noteSessions = () => {
    for (const ref of Object.keys(pool.records('session'))) sessions.add(ref);
    return false;
  };
  pool.faults.add({ method: /./, when: noteSessions });
  const during = { arguments: [] as string[], files: [] as string[] };
  glance.onUpload(() => {
    during.arguments.push(
      ...commandLines().filter((line) => pool.hosts.some((host) => line.includes(host.dom0Root))),
    );
    during.files.push(...filesOfDom0(pool));
  });
  const [first, second] = pool.vms();
  const succeeding = await request(first?.uuid ?? '');
  expect(await job(succeeding)).toMatchObject({ status: 'succeeded' });
  // A Glance that quotes the request's headers back, which the plugin is not to pass on.
  glance.faults.add({
    method: 'PUT',
    path: /\/file$/,
    status: 403,
    body: `X-Auth-Token: ${TOKEN} is no good`,
  });
  pool.faults.add({
    method: 'VM.destroy',
    times: 1,
    code: 'INTERNAL_ERROR',
    // Read when it strikes: the session of the call.
    get params() {
      return [`no access for ${[...sessions].at(-1)}`];
    },
  });
  const failing = await request(second?.uuid ?? '');
  expect(await job(failing)).toMatchObject({ status: 'failed', error: { name: 'GlanceForbidden' } });
  // What the doctor says of a Glance and of a Keystone that quote what they were sent.
  glance.faults.add({
    method: 'GET',
    path: /\/v2\/images$/,
    status: 403,
    body: `X-Auth-Token: ${TOKEN} is no good`,
  });
  glance.faults.add({
    method: 'GET',
    path: /\/v2\/images$/,
    status: 401,
    body: `${TOKEN} is no good`,
    times: 2,
  });
  keystone.answer = (req, res) => {
    req.resume();
    res.writeHead(401).end(`${CREDENTIAL.secret} is no good`);
  };
  const doctor = [await ask('GET', '/doctor'), await ask('GET', '/doctor')];
  delete keystone.answer;
  doctor.push(await ask('GET', '/doctor'));
  expect(doctor.map(({ body }) => body.status)).toContain('failed');
  const refused = await ask('POST', '/snapshots', { vm: 'nobody' });
  const paths = ['/snapshots', `/snapshots/${failing}`, `/snapshots/${succeeding}`];
  const answers = await Promise.all(
    [...paths, '/vms', '/hosts', '/healthz', '/openapi.json'].map((path) => ask('GET', path)),
  );
  const histories = await Promise.all([succeeding, failing].map((id) => historyOf(id, service.runtime)));
  const report = await service.janitor();
  const files = filesOfDom0(pool);
  expect(await leftBehind()).toEqual([]);
  await service.close();
  const places = {
    logs,
    items: await itemsOf(join(folder, 'service/table')),
    histories,
    metrics,
    answers: [refused, ...doctor, ...answers].map(({ status, body }) => ({ status, body })),
    calls: pool.calls.map(({ method, args }) => [method, args]),
    files: [...during.files, ...files],
  };
  for (const [place, found] of Object.entries(places)) {
    const text = JSON.stringify(found, (_key, value) => (value instanceof Set ? [...value] : value));
    // Or nothing was looked at.
    expect(text, place).toContain(failing);
    expect(text, place).toContain(succeeding);
    expect(text, place).not.toContain(PASSWORD);
    expect(text, place).not.toContain(TOKEN);
    expect(text, place).not.toContain(CREDENTIAL.secret);
    expect(
      [...sessions].filter((session) => text.includes(session)),
      place,
    ).toEqual([]);
  }
  expect(sessions.size).toBeGreaterThan(20);
  expect(JSON.stringify(report)).not.toMatch(/planted/);
  // Every user of this machine may read these; xapi has the plugin's argument there, in a control domain without users.
  expect(during.arguments.join()).toContain('etc/xapi.d/plugins/glance');
  expect(during.arguments.join()).not.toMatch(/planted|OpaqueRef|methodCall/);
}, 180_000);
