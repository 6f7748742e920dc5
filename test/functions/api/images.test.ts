import { afterAll, beforeAll, expect, it } from 'vitest';
import { createApi } from '../../../functions/api/app.ts';
import type { ImageView } from '../../../functions/api/image-view.ts';
import type { ProjectConfig } from '../../../functions/config.ts';
import type { SnapshotJob } from '../../../functions/job.ts';
import type { Image, NewImage } from '../../../glance/image.ts';
import { aJob } from './a-job.ts';
import { anImage } from './an-image.ts';
import { type ServedApi, serveApi } from './served-api.ts';

let api: ServedApi;
beforeAll(async () => {
  api = await serveApi({ pool: { vms: 0 } });
});
afterAll(() => api[Symbol.asyncDispose]());

/** An image with the record of the job that verified it. */
async function aPoint(fields: Partial<NewImage> = {}, job: Partial<SnapshotJob> = {}): Promise<Image> {
  const image = await anImage(api, fields);
  await api.runtime.store.jobs.create(
    aJob({
      ...{ id: image.id, committed: true, sha512: image.osHashValue ?? '', imageBytes: image.sizeBytes ?? 0 },
      ...{ snapshotSentAt: '2026-01-01T02:00:00.000Z', ...job },
    }),
  );
  return image;
}

async function images(query: string): Promise<ImageView[]> {
  const { status, body } = await api.ask('GET', `/images?${query}`);
  expect([status, body.next]).toEqual([200, null]);
  return body.images;
}

const ids = (found: readonly ImageView[]) => found.map(({ id }) => id);

it('tells of a restore point what a restore takes of it', async () => {
  const { id, createdAt } = await aPoint({
    name: 'whole',
    protected: true,
    properties: {
      ...{ image_type: 'backup', backup_type: 'daily', xensnap_consistency: 'quiesced' },
      xensnap_restore_tested: '{"at":"2026-01-02T00:00:00Z","seconds":12,"reached":"tools"}',
    },
  });
  expect(await images('name=whole')).toEqual([
    {
      ...{ id, name: 'whole', status: 'active', createdAt, takenAt: '2026-01-01T02:00:00.000Z' },
      ...{ sizeBytes: 4096, virtualBytes: 4096, format: 'raw', pool: 'demo', backupType: 'daily' },
      ...{ vm: { uuid: 'vm-1', name: 'web-1' }, device: null },
      ...{ consistency: 'quiesced', verified: true, protected: true },
      tested: { at: '2026-01-02T00:00:00Z', seconds: 12, reached: 'tools', failed: null },
      refusal: null,
    },
  ]);
});

it('lists by VM, type of backup, pool and name', async () => {
  const vm = '0c7d2f4e-9f0b-4b0c-9d3e-0c9f5f6a7b8c';
  const of = (properties: Record<string, string>) => ({
    properties: { xensnap_vm_name: 'mail', ...properties },
  });
  const plain = await aPoint({ name: 'mail-2026-11-24T08:42Z', ...of({ xensnap_vm: vm }) });
  const weekly = await aPoint(of({ image_type: 'backup', backup_type: 'weekly', xensnap_pool: 'other' }));
  await aPoint({ properties: { xensnap_installation: 'another', xensnap_vm_name: 'mail' } });
  for (const [query, found] of [
    ['vm=mail', [weekly, plain]],
    [`vm=${vm.toUpperCase()}`, [plain]],
    ['vm=mail&type=weekly', [weekly]],
    ['vm=mail&pool=other', [weekly]],
    ['vm=mail&name=mail-2026-11-24T08:42Z', [plain]],
    ['vm=mail&name=mail', []],
    ['vm=nobody', []],
  ] as const)
    expect(ids(await images(query)).toSorted(), query).toEqual(found.map(({ id }) => id).toSorted());
  expect((await api.ask('GET', '/images?tag=x')).body.error.message).toContain('there is no field "tag"');
});

it('goes on where the page before ended, and says so where that image is gone', async () => {
  const made = [];
  for (let n = 0; n < 3; n++) made.push((await aPoint({ properties: { xensnap_vm_name: 'paged' } })).id);
  const found: string[] = [];
  const nexts: (string | null)[] = [];
  for (let marker = ''; ; ) {
    const { body } = await api.ask('GET', `/images?vm=paged&limit=1${marker}`);
    found.push(...ids(body.images));
    nexts.push(body.next);
    if (body.next === null) break;
    marker = `&marker=${body.next}`;
  }
  expect(found.toSorted()).toEqual(made.toSorted());
  expect(nexts.slice(0, 2)).toEqual(found.slice(0, 2));
  await api.runtime.glance.deleteImage(found[0] ?? '');
  for (const [marker, message] of [
    [found[0], 'marker: its image is gone. Begin again without one.'],
    ['x', 'marker: take it from "next"'],
  ]) {
    const { status, body } = await api.ask('GET', `/images?vm=paged&marker=${marker}`);
    expect([status, body.error.message]).toEqual([400, expect.stringContaining(message ?? '')]);
  }
});

it('believes of what an image says of itself no more than the record of its job bears out', async () => {
  const of = { properties: { xensnap_vm_name: 'doubtful' } };
  const verified = await aPoint(of);
  await aPoint(of, { sha512: 'another' });
  await aPoint(of, { committed: false });
  await aPoint(of, { imageOwner: 'somebody else' });
  // Of which no job is known: somebody's own, that only says so.
  const unknown = await anImage(api, of);
  const good = (found: readonly ImageView[]) => ids(found.filter((image) => image.verified)).toSorted();
  expect(good(await images('vm=doubtful'))).toEqual([verified.id]);
  const later = { now: () => new Date(Date.now() + 100 * 86_400_000) };
  const response = await createApi({ ...api.runtime, clock: later }).request('/images?vm=doubtful');
  const { images: found } = (await response.json()) as { images: ImageView[] };
  expect(good(found)).toEqual([unknown.id, verified.id].toSorted());
});

it('says why an image cannot be restored, and takes nothing for a test that is none', async () => {
  const { id } = await aPoint({
    ...{ diskFormat: 'vhd', containerFormat: 'ovf' },
    properties: {
      xensnap_vm_name: 'sizeless',
      xensnap_restore_tested: '["x"]',
      backup_type: 'x'.repeat(300),
    },
  });
  const [image] = await images('vm=sizeless');
  expect(image).toMatchObject({
    ...{ id, format: null, virtualBytes: null, tested: null, backupType: null },
    refusal: {
      name: 'ImageNotRestorable',
      message:
        'The image "nightly" cannot be restored: it does not say how large its disk is: set min_disk, in GiB.',
    },
  });
});

it('shows a project its own, and not what another says is the project’s', async () => {
  const properties = { xensnap_project: 'blue', xensnap_vm_name: 'owned' };
  const own = await aPoint({ owner: 'blue', properties });
  await aPoint({ owner: 'red', properties });
  await aPoint({ properties: { xensnap_vm_name: 'owned' } });
  const blue: ProjectConfig = {
    ...{ vmTags: [], vmNamePatterns: [], admin: false, maxSchedules: 1, maxOpenJobs: 1 },
  };
  const runtime = { ...api.runtime, config: { ...api.runtime.config, projects: { blue } } };
  const authorizer = { lambda: { projectId: 'blue', userId: 'u', role: 'reader' } };
  const response = await createApi(runtime).request(
    '/images?vm=owned',
    {},
    { event: { requestContext: { authorizer } } },
  );
  const { images: found } = (await response.json()) as { images: ImageView[] };
  expect(ids(found)).toEqual([own.id]);
});
