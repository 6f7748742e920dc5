import { once } from 'node:events';
import { get } from 'node:http';
import { json } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { releaseSlotOf } from '../../functions/queue/wake.ts';
import { hostGroup, slotsOfHost } from '../../functions/store/counters.ts';
import { LOCAL_AWS } from '../../local/aws/in-process.ts';
import type { VmSpec } from '../../local/pool/pool.ts';
import { type Scenario, scenario } from '../support/scenario.ts';

const HOSTS = ['xen1', 'xen2'];
const SLOTS = 2;

it('never uploads more from a host than it has slots, and admits each host’s jobs in their order', async () => {
  const vms: VmSpec[] = Array.from({ length: 20 }, (_, index) => ({
    name: `vm-${index}`,
    host: HOSTS[index % 2] ?? '',
    diskMib: 2,
    dataMib: 1,
  }));
  const all = await scenario({ pool: { vms: 0 }, vms, slots: SLOTS });
  const { pool, glance, service, logs, request, job } = all;
  const { counters } = service.runtime.store;
  const places = pool.hosts.map(({ uuid }) => slotsOfHost(hostGroup('demo', uuid)));
  // The hosts are full until all jobs are in line, so that each line is known before the first is admitted.
  const others = Array.from({ length: SLOTS }, (_, index) => `other-${index}`);
  for (const place of places) for (const other of others) await counters.take(place, other, SLOTS);
  // The first uploads wait until both hosts use all their slots.
  const allSlotsUsed = Promise.withResolvers<void>();
  const most = HOSTS.length * SLOTS;
  glance.faults.add({ method: 'PUT', path: /file$/, times: most, hold: allSlotsUsed.promise, afterBytes: 1 });
  const uploads: { event: string; imageId: string }[] = [];
  glance.onUpload(({ event, imageId }) => {
    if (event !== 'progress') uploads.push({ event, imageId });
    if (glance.uploads().length === most) allSlotsUsed.resolve();
  });

  const ids = await Promise.all(vms.map(({ name }) => request(name)));
  const lines = await linesOf(all, vms.length);
  expect(Object.keys(lines)).toHaveLength(HOSTS.length);
  expect(uploads).toEqual([]);
  for (const place of places) for (const other of others) await releaseSlotOf(place, other, service.runtime);

  const jobs = await Promise.all(ids.map((id) => job(id)));
  expect(jobs.map(({ status }) => status)).toEqual(vms.map(() => 'succeeded'));
  expect(granted(logs)).toEqual(lines);
  const hostOf = new Map(jobs.map(({ id, hostName = '' }) => [id, hostName]));
  expect(mostAtOnce(uploads, hostOf)).toEqual({ xen1: SLOTS, xen2: SLOTS });
  expect(glance.images().filter(({ status }) => status === 'active')).toHaveLength(vms.length);
}, 300_000);

it('gives the VM to one of 50 requests at once, and names its job to the other 49', async () => {
  const answered = Promise.withResolvers<void>();
  const { pool, glance, ask, job } = await scenario({ pool: { vms: 1, diskMib: 2 } });
  // The job is not over before the last request is answered.
  glance.faults.add({ method: 'PUT', path: /file$/, hold: answered.promise });
  const vm = pool.vms()[0]?.uuid;
  const answers = await Promise.all(Array.from({ length: 50 }, () => ask('POST', '/snapshots', { vm })));
  answered.resolve();
  const [taken, ...more] = answers.filter(({ status }) => status === 202);
  expect(more).toEqual([]);
  const jobId = taken?.body.id;
  expect(taken?.headers.get('location')).toBe(`/snapshots/${jobId}`);
  const refused = answers.filter((answer) => answer !== taken);
  expect(
    refused.map(({ status, body }) => ({ status, name: body.error.name, jobId: body.error.jobId })),
  ).toEqual(Array(49).fill({ status: 409, name: 'SnapshotInProgress', jobId }));
  expect(refused[0]?.body.error.message).toContain(jobId);
  expect((await job(jobId)).status).toBe('succeeded');
  expect(glance.images()).toMatchObject([{ id: jobId, status: 'active' }]);
}, 120_000);

it('answers with the same job to the same Idempotency-Key, during the job and after it', async () => {
  const { pool, glance, ask, job } = await scenario({
    pool: { vms: 1, diskMib: 2 },
    // The second snapshot does not wait for the coalescer to have done with the first.
    service: { timings: { coalesceMaxSeconds: 1 } },
  });
  const vm = pool.vms()[0]?.uuid;
  const again = (key: string) => ask('POST', '/snapshots', { vm }, { 'idempotency-key': key });
  const first = await again('nightly-1');
  const second = await again('nightly-1');
  await job(first.body.id);
  const third = await again('nightly-1');
  expect([first, second, third].map(({ status, body }) => ({ status, id: body.id }))).toEqual(
    Array(3).fill({ status: 202, id: first.body.id }),
  );
  expect(third.body.status).toBe('succeeded');
  expect(glance.images()).toHaveLength(1);
  const other = await again('nightly-2');
  expect(other.status).toBe(202);
  expect(other.body.id).not.toBe(first.body.id);
  await job(other.body.id);
  expect(glance.images()).toHaveLength(2);
});

interface QueuedMessage {
  body: string;
  sequenceNumber: string;
}

/** The jobs of each host's line in the queue's own order, once there are so many in all. */
async function linesOf({ service }: Scenario, count: number): Promise<Record<string, string[]>> {
  for (;;) {
    const asked = get(`${service.queue.endpoint}/_fauxqs/queues/xensnap-hosts.fifo`, {
      agent: LOCAL_AWS.requestHandler.httpAgent,
      // Another name than localhost would be a bucket's.
      headers: { host: 'localhost' },
    });
    const [response] = await once(asked, 'response');
    const { messages: found } = (await json(response)) as { messages: Record<string, unknown[]> };
    const { ready, delayed, inflight } = found;
    const messages = [...(ready ?? []), ...(delayed ?? []), ...(inflight ?? [])].map(
      (entry) => ((entry as { message?: QueuedMessage }).message ?? entry) as QueuedMessage,
    );
    if (messages.length === count) {
      const inOrder = messages.toSorted((a, b) =>
        BigInt(a.sequenceNumber) < BigInt(b.sequenceNumber) ? -1 : 1,
      );
      return byGroup(inOrder.map(({ body }) => JSON.parse(body)));
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The jobs of each host's line in the order in which they got their slot. */
function granted(logs: readonly string[]): Record<string, string[]> {
  const entries = logs.map((line) => JSON.parse(line));
  return byGroup(entries.filter(({ message }) => message === 'slot granted'));
}

function byGroup(entries: readonly { group: string; jobId: string }[]): Record<string, string[]> {
  const lines: Record<string, string[]> = {};
  for (const { group, jobId } of entries) lines[group] = [...(lines[group] ?? []), jobId];
  return lines;
}

/** The most uploads that each host had under way at the same moment. */
function mostAtOnce(
  uploads: readonly { event: string; imageId: string }[],
  hostOf: ReadonlyMap<string, string>,
): Record<string, number> {
  const now: Record<string, number> = {};
  const most: Record<string, number> = {};
  for (const { event, imageId } of uploads) {
    const host = hostOf.get(imageId) ?? '';
    now[host] = (now[host] ?? 0) + (event === 'started' ? 1 : -1);
    most[host] = Math.max(most[host] ?? 0, now[host]);
  }
  return most;
}
