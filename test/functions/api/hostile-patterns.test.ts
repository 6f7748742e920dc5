import { beforeAll, expect, it } from 'vitest';
import { createApi } from '../../../functions/api/app.ts';
import { parseConfig } from '../../../functions/config.ts';
import { LONGEST_NAME } from '../../../functions/glob.ts';
import type { Runtime } from '../../../functions/runtime/executions.ts';
import { tick } from '../../../functions/schedules.ts';
import { randomOf } from '../../scale/random.ts';
import { aJob } from './a-job.ts';
import { memoryRuntime, recordsOfPool } from './memory-runtime.ts';

/** How many requests are made; XENSNAP_FUZZ_RUNS sets another number. */
const RUNS = Number(process.env.XENSNAP_FUZZ_RUNS ?? 10_000);
/** No answer takes longer, on a machine that does other things as well. */
const MOST_MS = 2000;

let records: Awaited<ReturnType<typeof recordsOfPool>>;
beforeAll(async () => {
  const names = [
    `${'a'.repeat(LONGEST_NAME - 1)}!`,
    `${'ab'.repeat(LONGEST_NAME)}`,
    'a',
    '(a+)+$',
    '*',
    'web-1',
  ];
  records = await recordsOfPool(names.map((name) => ({ name, powerState: 'Halted' })));
});

function runtimeWith(logged: string[]): Runtime {
  return {
    ...memoryRuntime(records, (line) => logged.push(line)),
    config: parseConfig(
      JSON.stringify({
        installation: 'test',
        pools: [{ name: 'demo', addresses: ['http://127.0.0.1:9'], secretId: 'pool' }],
        glance: { url: 'http://127.0.0.1:9' },
        projects: { a: { vmNamePatterns: ['*'], maxSchedules: 5000 }, b: { vmTags: ['nobody'] } },
      }),
    ),
  };
}

/** Patterns, expressions and names at and over every bound. */
function hostileText(random: () => number): string {
  const pick = <T>(...of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  const times = pick(1, 8, 15, 16, 17, 100, 127, 128, 200, 255, 256, 1000, 20_000);
  return `${pick('', 'a', '!')}${pick('*', 'a*', '*a', '**', 'a', '.*', '(a+)+', '\\', '[', '\u{1f600}', 'a?').repeat(times)}${pick('', '!', '*', 'b', '$')}`;
}

const encoded = (text: string) => encodeURIComponent(text.toWellFormed());

/** A request that brings a text to wherever one is compared with names. */
function hostileRequest(random: () => number): { method: string; path: string; body?: unknown } {
  const text = hostileText(random);
  const schedule = { rate: 'rate(1 minute)', keep: 1, backupType: 'x' };
  const requests = [
    { method: 'POST', path: '/schedules', body: { ...schedule, selector: { namePattern: text } } },
    { method: 'POST', path: '/schedules', body: { ...schedule, selector: { tag: text, namePattern: 'a*' } } },
    { method: 'POST', path: '/schedules', body: { ...schedule, vm: text } },
    { method: 'POST', path: '/snapshots', body: { vm: text, name: text.slice(0, 300) } },
    { method: 'POST', path: '/snapshots', body: { vm: 'a', backup: { type: text, keep: 1 } } },
    { method: 'GET', path: `/snapshots?vm=${encoded(text.slice(0, 2000))}` },
    { method: 'GET', path: `/snapshots?pool=${encoded(text.slice(0, 2000))}` },
    { method: 'GET', path: `/v1.0/servers/${encoded(text.slice(0, 500))}/backup_schedule` },
    { method: 'GET', path: `/v2.1/servers/${encoded(text.slice(0, 500))}` },
  ];
  return requests[Math.floor(random() * requests.length)] as (typeof requests)[number];
}

it(`answers ${RUNS} requests with hostile patterns and names soon and in documented words, and the next look at the schedules is alive`, async () => {
  const random = randomOf(20_261_128);
  const logged: string[] = [];
  let runtime = runtimeWith(logged);
  let api = createApi(runtime);
  let slowest = 0;
  const statuses = new Map<number, number>();
  for (let n = 0; n < RUNS; n++) {
    if (n % 1000 === 999) {
      const began = performance.now();
      await tick(runtime, async () => ({ job: aJob(), created: true }));
      expect(performance.now() - began).toBeLessThan(30_000);
      runtime = runtimeWith(logged);
      api = createApi(runtime);
    }
    const { method, path, body } = hostileRequest(random);
    const projectId = random() < 0.9 ? 'a' : 'b';
    const began = performance.now();
    const response = await api.request(
      path,
      {
        method,
        headers: { 'content-type': 'application/json' },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      },
      {
        event: {
          requestContext: {
            authorizer: { lambda: { projectId, userId: 'u', admin: false, role: 'member' } },
          },
        },
      },
    );
    const answer = await response.text();
    slowest = Math.max(slowest, performance.now() - began);
    statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    if (![200, 201, 202, 204, 400, 403, 404, 409, 413, 414].includes(response.status))
      throw new Error(
        `${method} ${path.slice(0, 80)} answered ${response.status} ${answer}; ${logged.at(-1)}`,
      );
    if (response.status >= 400) expect(answer).toMatch(/"message":"[^"]/);
  }
  expect(slowest).toBeLessThan(MOST_MS);
  expect(statuses.get(201)).toBeGreaterThan(RUNS / 100);
  expect(statuses.get(400)).toBeGreaterThan(RUNS / 10);
}, 1_200_000);

it('fails the run of a schedule on record whose pattern is none, by name, and no other', async () => {
  const now = new Date('2026-11-28T12:00:00Z');
  const clock = { now: () => now };
  const runtime = { ...runtimeWith([]), clock };
  const of = (namePattern: string) => ({
    id: crypto.randomUUID(),
    project: 'a',
    selector: { namePattern },
    timing: { rate: 'rate(1 minute)' },
    timeZone: 'UTC',
    flexibleMinutes: 0,
    keep: 1,
    backupType: 'x',
    quiesce: 'never' as const,
    enabled: true,
    createdAt: now.toISOString(),
    updatedAt: now.toISOString(),
    anchor: '2026-11-28T11:00:00.000Z',
    revision: crypto.randomUUID(),
    nextAt: '2026-11-28T12:00:00.000Z',
  });
  // A pattern as the first version took it.
  const [old, good] = [of(`${'*'.repeat(200)}!`), of('web-*')];
  for (const schedule of [old, good]) await runtime.store.schedules.create(schedule);
  const asked: string[] = [];
  const request = async ({ vm }: { vm: string }) => {
    asked.push(vm);
    return { job: aJob(), created: true };
  };
  await tick(runtime, request);
  expect(asked).toHaveLength(1);
  now.setTime(now.getTime() + 60_000);
  await tick(runtime, request);
  const told = [];
  for await (const { scheduleId, outcome, reason } of runtime.store.runs.ofDay('2026-11-28'))
    if (scheduleId === old.id && outcome !== undefined) told.push([outcome, reason?.name, reason?.message]);
  expect(told).toContainEqual([
    'failed',
    'BadRequest',
    expect.stringContaining('at most 16 "*", this one has 200'),
  ]);
});
