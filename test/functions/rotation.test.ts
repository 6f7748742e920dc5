import { randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { type BackupSet, deleteBackups, judgeBackups, listBackups } from '../../functions/rotation.ts';
import type { Glance } from '../../glance/client.ts';
import type { Image } from '../../glance/image.ts';
import { listPages } from '../../glance/list.ts';

const set: BackupSet = { installation: 'ours', pool: 'pool-1', vmUuid: 'vm-1', type: 'daily', owner: 'op' };

/** A verified backup of the set, `minutes` after midnight, unless `changes` says otherwise. */
function backup(
  minutes: number,
  changes: Partial<Image> = {},
  properties: Record<string, string> = {},
): Image {
  const id = changes.id ?? randomUUID();
  const at = new Date(Date.UTC(2026, 0, 1, 0, minutes)).toISOString();
  return {
    id,
    name: 'web-1',
    status: 'active',
    sizeBytes: 1,
    checksum: null,
    osHashAlgo: 'sha512',
    osHashValue: 'x',
    diskFormat: 'vhd',
    containerFormat: 'ovf',
    visibility: 'private',
    owner: 'op',
    protected: false,
    createdAt: at,
    updatedAt: at,
    ...changes,
    properties: {
      image_type: 'backup',
      backup_type: 'daily',
      xensnap_installation: 'ours',
      xensnap_job: id,
      xensnap_pool: 'pool-1',
      xensnap_vm: 'vm-1',
      xensnap_verified: 'true',
      xensnap_verified_at: at,
      ...properties,
    },
  };
}

const judged = (images: readonly Image[], keep: number, newest?: string) =>
  Object.fromEntries(judgeBackups(images, set, keep, newest).map(({ image, action }) => [image.id, action]));

it('keeps the newest and deletes the rest', () => {
  const images = [backup(1, { id: 'a' }), backup(3, { id: 'c' }), backup(2, { id: 'b' })];
  expect(judged(images, 2)).toEqual({ c: 'keep', b: 'keep', a: 'delete' });
});

it('counts images that do not say of which disk they are for any disk', () => {
  const images = [
    backup(1, { id: 'a' }),
    backup(2, { id: 'b' }, { xensnap_vm_config: '{"disk":{"device":"1"}}' }),
  ];
  const verdicts = judgeBackups(images, { ...set, device: '0' }, 1);
  expect(verdicts.map(({ image, action }) => [image.id, action])).toEqual([
    ['b', 'keep'],
    ['a', 'delete'],
  ]);
});

it('goes by the time of verification, not by that of the request', () => {
  const early = backup(1, { id: 'asked-first' }, { xensnap_verified_at: '2026-01-01T05:00:00.000Z' });
  expect(judged([early, backup(2, { id: 'asked-last' })], 1)).toEqual({
    'asked-first': 'keep',
    'asked-last': 'delete',
  });
});

it('does not count an image that is another by now than was verified, and never deletes it', () => {
  const verified = ['a', 'b', 'c'].map((imageId) => ({
    ...{ imageId, type: 'daily', verifiedAt: '2026-01-01T00:00:00.000Z' },
    ...{ sha512: 'x', bytes: 1, owner: 'op' },
  }));
  const images = [
    backup(3, { id: 'c', sizeBytes: 2 }),
    backup(2, { id: 'b', osHashValue: 'y' }),
    backup(1, { id: 'a' }),
    backup(0, { id: 'older-than-the-record' }),
  ];
  const verdicts = judgeBackups(images, { ...set, verified }, 1);
  expect(verdicts.map(({ image, action, why }) => [image.id, action, why])).toEqual([
    ['a', 'keep', expect.any(String)],
    ['older-than-the-record', 'delete', expect.any(String)],
    ['c', 'ignore', 'it has 2 bytes in Glance, and 1 were verified'],
    ['b', 'ignore', 'it has another sha512 in Glance than was verified'],
  ]);
});

it('breaks ties by id, whatever the order of the list', () => {
  const tied = [backup(1, { id: 'a' }), backup(1, { id: 'b' }), backup(1, { id: 'c' })];
  const expected = { c: 'keep', b: 'delete', a: 'delete' };
  expect(judged(tied, 1)).toEqual(expected);
  expect(judged(tied.toReversed(), 1)).toEqual(expected);
});

it('never deletes the backup that was verified just now, though a clock says that others are newer', () => {
  expect(judged([backup(1, { id: 'new' }), backup(9, { id: 'ahead' })], 1, 'new')).toEqual({
    new: 'keep',
    ahead: 'delete',
  });
});

it('leaves none where none is to be kept', () => {
  expect(judged([backup(1, { id: 'a' }), backup(2, { id: 'b' })], 0, 'b')).toEqual({
    a: 'delete',
    b: 'delete',
  });
});

it('counts an image that two pages have once', () => {
  expect(judged([backup(1, { id: 'a' }), backup(1, { id: 'a' }), backup(2, { id: 'b' })], 2)).toEqual({
    a: 'keep',
    b: 'keep',
  });
});

it.each<[string, Partial<Image>, Record<string, string>]>([
  ['a manual snapshot', {}, { image_type: 'snapshot' }],
  ['another type', {}, { backup_type: 'weekly' }],
  ['another VM', {}, { xensnap_vm: 'vm-2' }],
  ['another pool’s VM', {}, { xensnap_pool: 'pool-2' }],
  ['another installation’s', {}, { xensnap_installation: 'theirs' }],
  ['another project’s', {}, { xensnap_project: 'p' }],
  ['another owner’s', { owner: 'stranger' }, {}],
  ['one that no job of its id made', {}, { xensnap_job: 'somebody' }],
  ['an unverified one', {}, { xensnap_verified: 'no' }],
  ['a protected one', { protected: true }, {}],
  ['one whose deletion would delete a key', {}, { cinder_encryption_key_id: 'k' }],
  ['one without data', { status: 'queued' }, {}],
  ['a half one', { status: 'saving' }, {}],
  ['a deactivated one', { status: 'deactivated' }, {}],
])('neither counts nor touches %s', (_what, changes, properties) => {
  const other = backup(9, { id: 'other', ...changes }, properties);
  expect(judged([other, backup(1, { id: 'good' })], 1)).toEqual({ other: 'ignore', good: 'keep' });
  expect(judged([other], 0)).toEqual({ other: 'ignore' });
});

/** A Glance of which each page, and each deletion, may fail. */
function shakyGlance(images: Map<string, Image>, pageSize: number, fails: () => boolean) {
  const touched: string[] = [];
  const glance: Pick<Glance, 'listImages' | 'deleteImage'> = {
    listImages: (filter = {}) =>
      listPages(filter, async (path) => {
        if (fails()) throw new Error('no answer');
        const start = Number(new URL(path, 'http://glance.invalid').searchParams.get('marker') ?? 0);
        const all = [...images.values()];
        const next = start + pageSize < all.length ? `/v2/images?marker=${start + pageSize}` : undefined;
        return { images: all.slice(start, start + pageSize), next, bytes: 1000 };
      }),
    async deleteImage(id) {
      if (fails()) throw new Error('refused');
      touched.push(id);
      images.delete(id);
    },
  };
  return { glance: glance as Glance, touched };
}

const FOREIGN: [Partial<Image>, Record<string, string>][] = [
  [{ protected: true }, {}],
  [{ owner: 'stranger' }, {}],
  [{}, { image_type: 'snapshot' }],
  [{}, { backup_type: 'weekly' }],
  [{}, { xensnap_installation: 'theirs' }],
  [{}, { xensnap_vm: 'vm-2' }],
];

it('never leaves fewer verified backups than min(keep, made), and touches nothing else, whatever fails', async () => {
  const step = fc.record({
    kind: fc.constantFrom('made', 'made', 'made', 'unverified', 'foreign'),
    foreign: fc.nat(FOREIGN.length - 1),
    minute: fc.nat(50),
    failing: fc.array(fc.boolean(), { maxLength: 12 }),
    keep: fc.integer({ min: 1, max: 4 }),
  });
  let deletions = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 12 }),
      fc.integer({ min: 1, max: 5 }),
      async (steps, pageSize) => {
        const images = new Map<string, Image>();
        const ours = new Set<string>();
        for (const { kind, foreign, minute, failing, keep } of steps) {
          const [changes, properties] = kind === 'foreign' ? (FOREIGN[foreign] ?? [{}, {}]) : [{}, {}];
          const image = backup(
            minute,
            changes,
            kind === 'unverified' ? { xensnap_verified: '' } : properties,
          );
          images.set(image.id, image);
          // Rotation follows a verified backup only.
          if (kind !== 'made') continue;
          ours.add(image.id);
          const good = () => [...ours].filter((id) => images.has(id)).length;
          const before = good();
          const { glance, touched } = shakyGlance(images, pageSize, () => failing.pop() ?? false);
          try {
            await deleteBackups(glance, judgeBackups(await listBackups(glance, set), set, keep, image.id));
          } catch {
            expect(touched).toEqual([]);
          }
          expect(good()).toBeGreaterThanOrEqual(Math.min(keep, before));
          expect(images.has(image.id)).toBe(true);
          expect(touched.filter((id) => !ours.has(id))).toEqual([]);
          deletions += touched.length;
          // And without failures just so many stay.
          const { glance: sound } = shakyGlance(images, pageSize, () => false);
          const verdicts = judgeBackups(await listBackups(sound, set), set, keep, image.id);
          expect((await deleteBackups(sound, verdicts)).failures).toEqual([]);
          expect(good()).toBe(Math.min(keep, before));
        }
      },
    ),
    { numRuns: 10_000 },
  );
  expect(deletions).toBeGreaterThan(1000);
}, 300_000);
