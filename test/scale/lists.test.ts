import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { createApi } from '../../functions/api/app.ts';
import type { Runtime } from '../../functions/runtime/executions.ts';
import type { Glance } from '../../glance/client.ts';
import { aSchedule } from '../functions/schedules/a-schedule.ts';
import { memoryRuntime } from './memory-runtime.ts';
import { MemoryTable } from './memory-table.ts';

const VMS = 20_000;
const START = Date.UTC(2026, 4, 5);
/** What Lambda answers at most, the text of ours within a document of its own. */
const MOST_BYTES = 6 * 2 ** 20;

/** Many have the same name, and some that is written longer than it is. */
const named = (n: number) => `"web" ${n % 7} ${'é'.repeat(n % 90)}`;

/** An installation whose one pool has so many VMs, and a Glance that takes its time for each list. */
function withVms(
  count: number,
  { listSeconds = 0, nameOf = named }: { listSeconds?: number; nameOf?: (n: number) => string } = {},
) {
  let now = START;
  const records = Object.fromEntries(
    Array.from({ length: count }, (_, n) => {
      const name_label = nameOf(n);
      return [
        `vm-${n}`,
        { uuid: randomUUID(), name_label, tags: [], power_state: 'Running', other_config: {} },
      ];
    }),
  );
  const call = async (method: string) => (method === 'VM.get_all_records_where' ? records : {});
  const glance = {
    async *listImages() {
      now += listSeconds * 1000;
      yield* [];
    },
  };
  const whole = memoryRuntime({ now: () => new Date(now) }, new MemoryTable());
  const runtime: Runtime = {
    ...whole,
    glance: glance as unknown as Glance,
    withSession: (_pool, use) => use({ call } as never),
  };
  const uuids = Object.values(records).map(({ uuid }) => uuid);
  return { runtime, uuids: new Set(uuids), [Symbol.asyncDispose]: () => whole.close() };
}

interface VmPage {
  readonly vms: readonly { readonly uuid: string; readonly name: string }[];
  readonly next: string | null;
}

/** All pages of a list. */
async function pagesOf(path: string, runtime: Runtime): Promise<VmPage[]> {
  const app = createApi(runtime);
  const pages: VmPage[] = [];
  for (let marker: string | null = ''; marker !== null; ) {
    const body = await (await app.request(marker === '' ? path : `${path}?marker=${marker}`)).text();
    expect(Buffer.byteLength(JSON.stringify({ statusCode: 200, headers: {}, body }))).toBeLessThan(
      MOST_BYTES,
    );
    const page: VmPage = JSON.parse(body);
    pages.push(page);
    marker = page.next;
  }
  return pages;
}

it(`lists ${VMS} VMs in pages that Lambda lets through, each once`, async () => {
  await using all = withVms(VMS);
  const pages = await pagesOf('/vms', all.runtime);
  const vms = pages.flatMap((page) => page.vms);
  expect(pages.length).toBeGreaterThan(1);
  expect(pages.length).toBeLessThan(6);
  expect([vms.length, new Set(vms.map(({ uuid }) => uuid))]).toEqual([VMS, all.uuids]);
  const names = vms.map(({ name }) => name);
  expect(names).toEqual(names.toSorted((a, b) => a.localeCompare(b)));
}, 120_000);

it('judges the backups of very many VMs in pages for which API Gateway waits', async () => {
  await using all = withVms(300, { listSeconds: 0.5 });
  const schedule = aSchedule(new Date(START), { selector: {}, nextAt: new Date(START).toISOString() });
  await all.runtime.store.schedules.create(schedule);
  const began = all.runtime.clock.now().getTime();
  const pages = await pagesOf(`/schedules/${schedule.id}/retention`, all.runtime);
  const seconds = (all.runtime.clock.now().getTime() - began) / 1000;
  const vms = pages.flatMap((page) => page.vms);
  expect([vms.length, new Set(vms.map(({ uuid }) => uuid))]).toEqual([300, all.uuids]);
  // Ten seconds, and what was begun with by then.
  expect(seconds / pages.length).toBeLessThan(13);
});

it('lists all VMs although somebody has given one of them a name without an end', async () => {
  await using all = withVms(3, { nameOf: (n) => (n === 1 ? '"'.repeat(3_000_000) : `web-${n}`) });
  const schedule = aSchedule(new Date(START), { selector: {}, nextAt: new Date(START).toISOString() });
  await all.runtime.store.schedules.create(schedule);
  for (const path of ['/vms', '/reports', `/schedules/${schedule.id}/retention`]) {
    const vms = (await pagesOf(path, all.runtime)).flatMap((page) => page.vms);
    expect([path, vms.length, vms.every(({ name }) => name.length <= 1000)]).toEqual([path, 3, true]);
  }
});

it('refuses a marker that no answer gave', async () => {
  await using all = withVms(1);
  const app = createApi(all.runtime);
  for (const path of ['/vms', '/reports'])
    for (const marker of ['x', 'WyJhIl0', '']) {
      const response = await app.request(`${path}?marker=${marker}`);
      expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('marker')]);
    }
});
