import { GlanceBadRequest } from '../glance/errors.ts';
import type { Image } from '../glance/image.ts';
import { mapBounded } from './bounded.ts';
import { XensnapError } from './errors.ts';
import { glanceText } from './glance-text.ts';
import type { SnapshotJob } from './job.ts';
import { isReadable, type RestorableImage, restorableImage } from './restorable-image.ts';
import type { Runtime } from './runtime/executions.ts';
import { isUuid } from './uuid.ts';
import { differenceOf } from './verified-image.ts';

/** Which restore points. */
export interface PointFilter {
  /** UUID of the VM, or the name that it had. */
  readonly vm?: string | undefined;
  /** Type of the backup. */
  readonly type?: string | undefined;
  readonly pool?: string | undefined;
  /** Of the image, exactly. */
  readonly name?: string | undefined;
  /** The project to which the caller is confined. */
  readonly project?: string | undefined;
}

/** An image of this installation, as something to restore. */
export interface RestorePoint {
  readonly image: Image;
  /** When the snapshot was taken, ISO 8601 UTC, where the job's record is there; the image's own time is the request's. */
  readonly takenAt?: string;
  /** Whether it is what a job of ours has verified: see {@link isVerified}. */
  readonly verified: boolean;
  /** What a restore would take of it, or why it would take nothing. */
  readonly restorable: RestorableImage | XensnapError;
}

/** Images that one answer looks at, at most; where few of them are the caller's, its page is short. */
const MOST_SCANNED = 500;
const MOST_ON_PAGE = 100;
/** Records of jobs that are read at a time. */
const READS_AT_ONCE = 16;

/**
 * A page of this installation's images, the newest first, and the id of the one that it ended with; null at the end.
 * @param wanted.after the id that the page before ended with
 * @throws BadRequest where that image is gone; what Glance fails with
 */
export async function listRestorePoints(
  filter: PointFilter,
  { limit, after }: { readonly limit: number; readonly after?: string },
  runtime: Runtime,
): Promise<{ points: RestorePoint[]; next: string | null }> {
  const { glance, config } = runtime;
  const wanted = propertiesOf(filter, config.installation);
  const name = filter.name === undefined ? undefined : glanceText(filter.name);
  const fits = (image: Image) =>
    (name === undefined || image.name === name) &&
    Object.entries(wanted).every(([key, value]) => image.properties[key] === value) &&
    isReadable(image, filter.project, config);
  const list = glance.listImages({
    properties: wanted,
    ...(name !== undefined && { name }),
    ...(after !== undefined && { marker: after }),
    // One more, which says that there is another page.
    pageSize: Math.min(limit + 1, MOST_ON_PAGE),
    sort: 'created_at:desc',
  });
  const images: Image[] = [];
  let last: string | undefined;
  let next: string | null = null;
  let scanned = 0;
  try {
    for await (const image of list) {
      if (last !== undefined && (images.length === limit || scanned === MOST_SCANNED)) {
        next = last;
        break;
      }
      last = image.id;
      scanned += 1;
      if (fits(image)) images.push(image);
    }
  } catch (error) {
    throw after !== undefined && error instanceof GlanceBadRequest
      ? new XensnapError('BadRequest', 'marker: its image is gone. Begin again without one.', {
          cause: error,
        })
      : error;
  }
  const points = await mapBounded(images, READS_AT_ONCE, (image) => pointOf(image, filter, runtime));
  return { points, next };
}

/** The properties that Glance is to filter by. */
function propertiesOf(
  { vm, type, pool, project }: PointFilter,
  installation: string,
): Record<string, string> {
  return {
    xensnap_installation: installation,
    ...(vm !== undefined &&
      (isUuid(vm) ? { xensnap_vm: vm.toLowerCase() } : { xensnap_vm_name: glanceText(vm) })),
    ...(type !== undefined && { image_type: 'backup', backup_type: glanceText(type) }),
    ...(pool !== undefined && { xensnap_pool: glanceText(pool) }),
    ...(project !== undefined && { xensnap_project: project }),
  };
}

async function pointOf(image: Image, { project }: PointFilter, runtime: Runtime): Promise<RestorePoint> {
  const { store, config } = runtime;
  const job = await store.jobs.snapshot(image.id);
  return {
    image,
    ...(job?.snapshotSentAt !== undefined && { takenAt: job.snapshotSentAt }),
    verified: isVerified(image, job, runtime),
    restorable: orError(() => restorableImage(image.id, image, project, config)),
  };
}

/**
 * Whether a job of ours has verified the image, and it still is that. Its properties are its owner's to write, and
 * everybody may own images: where the job's record is there, that says it. Without one they are believed of an image that
 * is older than records become, and no longer of a newer one, which no job of ours can have made.
 */
function isVerified(image: Image, job: SnapshotJob | undefined, { clock, config }: Runtime): boolean {
  if (image.properties.xensnap_verified !== 'true') return false;
  const { installation, retainJobsDays } = config;
  if (!job) return clock.now().getTime() - Date.parse(image.createdAt) > retainJobsDays * 86_400_000;
  const { committed, sha512, imageBytes: bytes, imageOwner: owner } = job;
  const verified = {
    ...(sha512 !== undefined && { sha512 }),
    ...(bytes !== undefined && { bytes }),
    ...(owner !== undefined && { owner }),
  };
  return committed === true && differenceOf(image, verified, installation) === undefined;
}

function orError<T>(look: () => T): T | XensnapError {
  try {
    return look();
  } catch (error) {
    if (error instanceof XensnapError) return error;
    throw error;
  }
}
