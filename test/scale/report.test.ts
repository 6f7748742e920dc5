import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { reportView } from '../../functions/api/report-view.ts';
import type { Runtime } from '../../functions/runtime/executions.ts';
import { reportOf } from '../../functions/schedules/report.ts';
import { tick } from '../../functions/schedules.ts';
import type { Glance } from '../../glance/client.ts';
import type { Image } from '../../glance/image.ts';
import { memoryRuntime } from './memory-runtime.ts';
import { MemoryTable } from './memory-table.ts';

const NOW = Date.UTC(2026, 4, 5, 12);
const DAY = '2026-05-05';
const VMS = 20_000;
const SCHEDULED = 15_000;
const RUNS = 15_000;
/** What Lambda answers at most. */
const MOST_BYTES = 6_000_000;
const OPERATOR = { id: 'local', actor: 'local', role: 'admin' } as const;

const iso = (hoursAgo: number) => new Date(NOW - hoursAgo * 3_600_000).toISOString();
/** Names about as long as xapi lets people make them. */
const nameOf = (n: number) => `${n < SCHEDULED ? 'prod' : 'other'}-${n}-${'n'.repeat(100)}`;

it(`answers for ${VMS} VMs and ${RUNS} runs within what an answer may have, and counts what has no room`, async () => {
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

  const report = await reportOf(DAY, undefined, runtime);
  const view = reportView(DAY, report, OPERATOR);
  const text = JSON.stringify(view);
  expect(Buffer.byteLength(text)).toBeLessThan(MOST_BYTES);
  expect([report.vms.length, report.unprotected.length, report.gaps]).toEqual([
    SCHEDULED,
    VMS - SCHEDULED,
    [],
  ]);
  for (const list of ['runs', 'vms', 'unprotected'] as const) {
    expect(view[list].length).toBeGreaterThan(500);
    expect(view.omitted[list]).toBe(report[list].length - view[list].length);
  }
  expect(view.summary).toMatchObject({ failed, succeeded: RUNS - failed, lost: 0, ok: false });
  // The oldest backups are those that are shown.
  expect(view.vms[0]?.ageHours).toBeCloseTo(10, 1);
  expect(view.runs.every(({ state }) => state === 'failed')).toBe(true);
  await whole.close();
}, 300_000);
