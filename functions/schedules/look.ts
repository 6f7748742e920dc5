import { GlanceListTooLong } from '../../glance/errors.ts';
import type { Image } from '../../glance/image.ts';
import { mapBounded, within } from '../bounded.ts';
import type { Reason } from '../errors.ts';
import type { BaseRuntime } from '../runtime/base.ts';
import type { KnownVm, Lost, VerifiedBackup } from '../store/backups.ts';
import { asJobError } from '../translate.ts';
import { differenceOf, GONE } from '../verified-image.ts';

/** What one look may take: seconds of real time for Glance's list and then for the rest, and images asked for singly. */
export interface LookBound {
  readonly seconds: number;
  readonly singly: number;
}

/** A VM after a look. */
export interface LookedVm extends KnownVm {
  /** Whether this look saw what counts: the newest backup that is there, or that none is. */
  readonly looked: boolean;
  /** Found by this look and by none before. */
  readonly newlyLost: readonly VerifiedBackup[];
}

/** What a look has found. */
export interface Looked {
  /** The backups in the order in which they were given. */
  readonly vms: readonly LookedVm[];
  /** Why not all could be looked at: Glance does not answer, or the bound was reached. */
  readonly problem?: Reason;
}

type Deps = Pick<BaseRuntime, 'glance' | 'store' | 'config' | 'clock' | 'log'>;

const AT_ONCE = 8;
const PAGE = 500;
/** An image's record is older than its verification by a job's time, 6 days at most. */
const OLDEST_MS = 7 * 86_400_000;

/**
 * Looks which of the VMs' verified backups are there as they were verified, the newest of each until one is. Most are
 * seen in one list of this installation's images, the newest first, which is read no further than the last of them.
 * That an image is missing there proves nothing: each such one is asked for by its id, and a 404 is the proof. What
 * could not be asked is left as it was on record. Goes on record, but for a dry run.
 */
export async function lookAtBackups(
  vms: readonly KnownVm[],
  runtime: Deps,
  bound: LookBound,
  { dryRun = false } = {},
): Promise<Looked> {
  const listed = new Map<string, Image>();
  let problem = await within(bound.seconds, list(vms, runtime, bound, listed), undefined);
  const deadline = Date.now() + bound.seconds * 1000;
  let singly = 0;
  const imageOf = async (id: string): Promise<Image | undefined | typeof UNKNOWN> => {
    const image = listed.get(id);
    if (image) return image;
    if (problem) return UNKNOWN;
    if (singly >= bound.singly || Date.now() >= deadline) {
      problem = TOO_MANY;
      return UNKNOWN;
    }
    singly++;
    try {
      const left = (deadline - Date.now()) / 1000;
      const asked = await within(left, runtime.glance.getImage(id), UNKNOWN);
      if (asked === UNKNOWN) problem = TOO_MANY;
      return asked;
    } catch (error) {
      problem = asJobError(error);
      return UNKNOWN;
    }
  };
  const looked = await mapBounded(vms, AT_ONCE, (vm) => lookAtVm(vm, imageOf, runtime, dryRun));
  if (problem) runtime.log.warn('not every backup could be looked at', { reason: problem.message });
  return { vms: looked, ...(problem && { problem }) };
}

const UNKNOWN = Symbol('not looked at');
const TOO_MANY: Reason = {
  name: 'TimedOut',
  message: 'Glance has more images, or takes longer, than one look has time for; the next ones go on.',
};

/** Reads the list up to the last image that is waited for. Answers why it broke off, if it did. */
async function list(
  vms: readonly KnownVm[],
  { glance, config }: Deps,
  { seconds }: LookBound,
  listed: Map<string, Image>,
): Promise<Reason | undefined> {
  const ids = new Set(vms.flatMap(({ backups }) => backups.map(({ imageId }) => imageId)));
  const newest = vms.flatMap(({ backups }) => backups[0] ?? []);
  if (newest.length === 0) return undefined;
  const waiting = new Set(newest.map(({ imageId }) => imageId));
  const oldest = newest.reduce((least, { verifiedAt }) => Math.min(least, Date.parse(verifiedAt)), Infinity);
  const deadline = Date.now() + seconds * 1000;
  const filter = {
    properties: { xensnap_installation: config.installation },
    sort: 'created_at:desc',
    pageSize: PAGE,
  };
  try {
    for await (const image of glance.listImages(filter)) {
      if (ids.has(image.id)) listed.set(image.id, image);
      waiting.delete(image.id);
      if (waiting.size === 0 || Date.parse(image.createdAt) < oldest - OLDEST_MS || Date.now() >= deadline)
        break;
    }
    return undefined;
  } catch (error) {
    // What lies beyond what is read of it is asked for singly.
    return error instanceof GlanceListTooLong ? undefined : asJobError(error);
  }
}

async function lookAtVm(
  vm: KnownVm,
  imageOf: (id: string) => Promise<Image | undefined | typeof UNKNOWN>,
  { store, config, clock }: Deps,
  dryRun: boolean,
): Promise<LookedVm> {
  const changes = new Map<string, Lost | undefined>();
  const newlyLost: VerifiedBackup[] = [];
  let looked = true;
  for (const backup of vm.backups) {
    const image = await imageOf(backup.imageId);
    if (image === UNKNOWN) {
      looked = false;
      break;
    }
    const what = differenceOf(image, backup, config.installation);
    if (what === undefined) {
      if (backup.lost) changes.set(backup.imageId, undefined);
      break;
    }
    if (backup.lost?.what === what) continue;
    const lost = { what, foundAt: clock.now().toISOString() };
    changes.set(backup.imageId, lost);
    if (!backup.lost) newlyLost.push({ ...backup, lost });
  }
  if (changes.size === 0) return { ...vm, looked, newlyLost };
  if (dryRun) return { ...vm, backups: changed(vm.backups, changes), looked, newlyLost };
  const known = await store.backups.found(vm.pool, vm.uuid, changes);
  for (const [id, lost] of changes)
    await store.jobs.noteImage(id, lost?.what === GONE ? lost.foundAt : undefined);
  return { ...vm, ...known, looked, newlyLost };
}

function changed(backups: readonly VerifiedBackup[], changes: ReadonlyMap<string, Lost | undefined>) {
  return backups.map((backup) => {
    const { lost, ...there } = backup;
    const now = changes.has(backup.imageId) ? changes.get(backup.imageId) : lost;
    return now ? { ...there, lost: now } : there;
  });
}
