import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { createApi } from '../../../functions/api/app.ts';
import { aJob, aRestore } from './a-job.ts';
import { memoryRuntime, NOBODY, recordsOfPool } from './memory-runtime.ts';
import { aRawImage } from './raw-image.ts';
import { type ApiDocument, type Requested, requestsOf } from './requests.ts';

/** How many requests are made; XENSNAP_FUZZ_RUNS sets another number. */
const RUNS = Number(process.env.XENSNAP_FUZZ_RUNS ?? 4000);
/** After so many the table is empty again, so that VMs are free and lists short. */
const RUNS_OF_ONE_TABLE = 250;

let records: Awaited<ReturnType<typeof recordsOfPool>>;
beforeAll(async () => {
  records = await recordsOfPool([
    { name: 'web-1' },
    { name: 'db-1', powerState: 'Halted' },
    { name: 'twin' },
    { name: 'twin' },
    { name: 'nova', otherConfig: { nova_uuid: '6f70656e-7374-4163-8b00-000000000000' } },
    { name: 'diskless', kind: 'noDisk' },
    { name: 'template', kind: 'template' },
  ]);
});

/** Jobs that may be cancelled, and an image that may be restored. */
const JOB = randomUUID();
const RESTORE = randomUUID();
const IMAGE = aRawImage();

const logged: string[] = [];

async function freshApi() {
  logged.length = 0;
  const runtime = memoryRuntime(records, (line) => logged.push(line), [IMAGE]);
  await runtime.store.jobs.create(aJob({ id: JOB }));
  await runtime.store.jobs.create(aRestore({ id: RESTORE }));
  const janitor = async (dryRun: boolean) => {
    const now = runtime.clock.now().toISOString();
    return { dryRun, startedAt: now, finishedAt: now, findings: [] };
  };
  return createApi(runtime, { janitor });
}

/** What a stack trace or a file's name looks like. */
const INNARDS = /\n\s+at |node_modules|\.ts:\d+|node:internal/;

it(`gives ${RUNS} random and hostile requests documented answers only`, async () => {
  let api = await freshApi();
  const document = (await (await api.request('/openapi.json')).json()) as ApiDocument;
  const vms = Object.values(records.VM ?? {}).flatMap(({ uuid, name_label }) => [
    String(uuid),
    String(name_label),
  ]);
  const known = [
    ...new Set(vms),
    JOB,
    RESTORE,
    IMAGE.id,
    NOBODY,
    '2vcpu-1024mib-1gib',
    'demo',
    'daily',
    '1',
    '7',
  ];
  const answers = new Map<string, number>();
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(
      requestsOf(document, known),
      async ({ method, path, headers, body, template, operation }: Requested) => {
        if (runs++ % RUNS_OF_ONE_TABLE === 0) api = await freshApi();
        const response = await api.request(`http://api.test${path}`, {
          method,
          headers,
          ...(body !== undefined && { body }),
        });
        const text = await response.text();
        const { status } = response;
        answers.set(
          `${operation.operationId} ${status}`,
          (answers.get(`${operation.operationId} ${status}`) ?? 0) + 1,
        );
        if (status === 500 || !(status in operation.responses))
          throw new Error(`${method} ${template} answered ${status} ${text.slice(0, 500)}; ${logged.at(-1)}`);
        expect(text).not.toMatch(INNARDS);
        if (text !== '') JSON.parse(text);
        if (status >= 400 && template !== '/healthz') expect(text).toMatch(/"message":"[^"]/);
      },
    ),
    { numRuns: RUNS, endOnFailure: process.env.CI !== 'true' },
  );
  if (process.env.XENSNAP_FUZZ_RUNS) console.log(Object.fromEntries([...answers].sort()));
  // Every operation was reached, and much was done and not only refused.
  const reached = new Set([...answers.keys()].map((key) => key.split(' ')[0]));
  const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
  expect(
    operations.filter(({ operationId }) => !reached.has(operationId)).map(({ operationId }) => operationId),
  ).toEqual([]);
  const done = [...answers].filter(([key]) => / 2\d\d$/.test(key)).reduce((sum, [, count]) => sum + count, 0);
  expect(done).toBeGreaterThan(RUNS / 10);
}, 1_200_000);
