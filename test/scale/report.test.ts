import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { createApi } from '../../functions/api/app.ts';
import type { ReportView } from '../../functions/api/report-view.ts';
import type { Runtime } from '../../functions/runtime/executions.ts';
import { tick } from '../../functions/schedules.ts';
import type { Glance } from '../../glance/client.ts';
import type { Image } from '../../glance/image.ts';
import { memoryRuntime } from './memory-runtime.ts';
import { MemoryTable } from './memory-table.ts';

const NOW = Date.UTC(2026, 4, 5, 12);
const DAY = '2026-05-05';
const VMS = 22_000;
const SCHEDULED = 20_000;
const RUNS = 20_000;
/** What Lambda answers at most, the text of ours within a document of its own. */
const MOST_BYTES = 6 * 2 ** 20;

const iso = (hoursAgo: number) => new Date(NOW - hoursAgo * 3_600_000).toISOString();
/** Names about as long as xapi lets people make them. */
const nameOf = (n: number) => `${n < SCHEDULED ? 'prod' : 'other'}-${n}-${'n'.repeat(100)}`;

it(`reports on ${SCHEDULED} scheduled VMs and ${RUNS} runs in pages that Lambda lets through, each entry once, and counts all on each`, async () => {
  const uuids = Array.from({ length: VMS }, () => randomUUID());
  const records = Object.fromEntries(
    uuids.map((uuid, n) => [`ref-${n}`, { uuid, name_label: nameOf(n), tags: [], other_config: {} }]),
  );
  const images = new Map<string, Image>();
  const glance = {
    async *listImages() {
      yield* images.values();
    },
    getImage: async (id: string) => images.get(id),
  } as unknown as Glance;
  const whole = memoryRuntime({ now: () => new Date(NOW) }, new MemoryTable());
  const runtime: Runtime = {
    ...whole,
    glance,
    withSession: (_pool, use) => use({ call: async () => records } as never),
  };
  const { store } = runtime;
  await store.schedules.create({
    ...{ id: randomUUID(), selector: { namePattern: 'prod-*' }, timing: { daily: { at: '02:00' } } },
    ...{ timeZone: 'UTC', flexibleMinutes: 0, keep: 7, backupType: 'daily', quiesce: 'never' },
    ...{ enabled: true, anchor: iso(99), revision: 'r', createdAt: iso(99), updatedAt: iso(99) },
    nextAt: iso(-14),
  });
  for (let n = 0; n < SCHEDULED; n++) {
    const imageId = randomUUID();
    const verifiedAt = iso(9 + n / SCHEDULED);
    const backup = { imageId, type: 'daily', verifiedAt, sha512: 'x', bytes: 1, owner: null };
    await store.backups.verified('demo', uuids[n] ?? '', backup);
    images.set(imageId, {
      ...{ id: imageId, name: 'i', status: 'active', sizeBytes: 1, checksum: null, osHashAlgo: 'sha512' },
      ...{ osHashValue: 'x', diskFormat: 'vhd', containerFormat: 'ovf', visibility: 'private', owner: null },
      ...{ protected: false, createdAt: verifiedAt, updatedAt: verifiedAt },
      properties: { xensnap_installation: 'memory', xensnap_job: imageId },
    });
  }
  const failed = 9000;
  for (let n = 0; n < RUNS; n++) {
    const run = { scheduleId: randomUUID(), nominal: `${DAY}T02:00:00.000Z`, backupType: 'daily' };
    const of = { pool: 'demo', vmUuid: uuids[n] ?? '', vmName: nameOf(n), jobId: randomUUID() };
    const message = 'The upload failed: '.repeat(100);
    await store.runs.create(
      {
        ...run,
        ...of,
        ...(n < failed
          ? { outcome: 'failed', reason: { name: 'UploadFailed', message } }
          : { outcome: 'succeeded' }),
      },
      4_000_000_000,
    );
  }
  await tick(runtime);

  const app = createApi(runtime);
  const pages: ReportView[] = [];
  for (let query = `date=${DAY}`; query !== ''; ) {
    const body = await (await app.request(`/reports?${query}`)).text();
    expect(Buffer.byteLength(JSON.stringify({ statusCode: 200, headers: {}, body }))).toBeLessThan(
      MOST_BYTES,
    );
    const page: ReportView = JSON.parse(body);
    pages.push(page);
    query = page.next ? `marker=${page.next}` : '';
  }
  const bytes = pages.map((page) => (JSON.stringify(page).length / 1e6).toFixed(1));
  console.log(`${pages.length} pages of ${bytes.join(', ')} MB`);
  expect(pages.length).toBeLessThan(12);
  const [first, last] = [pages[0], pages.at(-1)];
  for (const { summary, gaps } of pages) {
    expect(summary).toMatchObject({ failed, succeeded: RUNS - failed, lost: 0, ok: false });
    expect([summary.unprotected, gaps]).toEqual([VMS - SCHEDULED, []]);
  }
  const each = <T>(of: (page: ReportView) => readonly T[]) => pages.flatMap(of);
  const runs = each((page) => page.runs.map(({ vm }) => vm?.uuid));
  const vms = each((page) => page.vms.map(({ uuid }) => uuid));
  const others = each((page) => page.unprotected.map(({ uuid }) => uuid));
  expect([runs.length, new Set(runs)]).toEqual([RUNS, new Set(uuids.slice(0, RUNS))]);
  expect([vms.length, new Set(vms)]).toEqual([SCHEDULED, new Set(uuids.slice(0, SCHEDULED))]);
  expect([others.length, new Set(others)]).toEqual([VMS - SCHEDULED, new Set(uuids.slice(SCHEDULED))]);
  expect(each(({ due }) => due)).toHaveLength(1);
  expect(first?.omitted.vms).toBe(SCHEDULED - (first?.vms.length ?? 0));
  expect(new Set(Object.values(last?.omitted ?? {}))).toEqual(new Set([0]));
  // The oldest backups and what failed are told first.
  expect(first?.vms[0]?.ageHours).toBeCloseTo(10, 1);
  const ages = each((page) => page.vms.map(({ ageHours }) => ageHours));
  expect(ages).toEqual(ages.toSorted((a, b) => b - a));
  expect(each((page) => page.runs.map(({ state }) => state)).lastIndexOf('failed')).toBe(failed - 1);

  await whole.close();
}, 300_000);
