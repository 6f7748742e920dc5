import type { ImageView } from '../functions/api/image-view.ts';
import type { ApiClient } from './client.ts';
import { CommandFailure } from './failures.ts';
import { printable, time } from './format.ts';
import { everyPage } from './pages.ts';

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** How many are named where none fits. */
const MOST_NAMED = 5;

/** Which restore points; all if nothing is said. */
type Filter = Readonly<Partial<Record<'vm' | 'type' | 'pool' | 'name', string>>> & {
  readonly limit?: number;
};

/** Restore points, the newest first. */
export function listPoints(client: ApiClient, filter: Filter): Promise<ImageView[]> {
  return everyPage<'images', ImageView>(client, 'images', filter);
}

/** The moment that a restore point is of: that of the snapshot, where it is known. */
export function momentOf({ takenAt, createdAt }: ImageView): string {
  return takenAt ?? createdAt;
}

/** Why a point is not taken by itself; null where it is. */
export function whyNot({ refusal, verified }: ImageView): string | null {
  if (refusal) return 'cannot be restored';
  return verified ? null : 'not verified';
}

/** Whether a text is an image's id, and not its name. */
export function isImageId(text: string): boolean {
  return ID.test(text);
}

/**
 * The restore point of that name.
 * @throws CommandFailure where none or several have it
 */
export async function pointNamed(client: ApiClient, name: string): Promise<ImageView> {
  const [found, ...others] = await listPoints(client, { name });
  if (!found)
    throw new CommandFailure(
      `there is no restore point named ${JSON.stringify(name)}: "xensnap images" lists them, and an image that others made goes by its id`,
    );
  if (others.length === 0) return found;
  throw new CommandFailure(
    `${others.length + 1} restore points are named ${JSON.stringify(name)}: name one by its id: ${named([found, ...others])}`,
  );
}

/** Which restore point of a VM. */
interface Wanted {
  readonly vm: string;
  readonly before?: Date | undefined;
  /** Position of the disk, where the VM has points of several. */
  readonly device?: string | undefined;
}

/**
 * The newest restore point of a VM that was verified, can be restored and is of a time before `before`, if that is said.
 * @throws CommandFailure where there is none, with those that there are, and where several VMs had the name or several
 *   of its disks were imaged
 */
export async function pointBefore(client: ApiClient, { vm, before, device }: Wanted): Promise<ImageView> {
  const points = await listPoints(client, { vm });
  const at = (point: ImageView) => Date.parse(momentOf(point));
  const newestFirst = points.toSorted((a, b) => at(b) - at(a));
  // What only says that it is of a VM of that name makes nothing ambiguous.
  const good = newestFirst.filter((point) => whyNot(point) === null);
  const vms = [...new Set(good.map((point) => point.vm?.uuid))];
  if (vms.length > 1)
    throw new CommandFailure(
      `${vms.length} VMs were called ${JSON.stringify(vm)}: name one by its UUID: ${vms.slice(0, MOST_NAMED).join(', ')}`,
    );
  const found = ofOneDisk(good, vm, device).find((point) => !before || at(point) < before.getTime());
  if (found) return found;
  const what = `no verified restore point of ${JSON.stringify(vm)}${before ? ` before ${time(before.toISOString())}` : ''}`;
  if (points.length === 0)
    throw new CommandFailure(`there is ${what}, nor any other: "xensnap images" lists those of all VMs`);
  throw new CommandFailure(`there is ${what}; there is: ${named(newestFirst)}`);
}

/**
 * Those of the disk that is meant. The newest of another disk would be no later state of it.
 * @throws CommandFailure where that is not clear
 */
function ofOneDisk(
  points: readonly ImageView[],
  vm: string,
  device: string | undefined,
): readonly ImageView[] {
  const newest = new Map<string, ImageView>();
  for (const point of points)
    if (point.device !== null && !newest.has(point.device)) newest.set(point.device, point);
  if (newest.size < 2) return points;
  if (device !== undefined && newest.has(device)) return points.filter((point) => point.device === device);
  const choices = [...newest]
    .toSorted(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }))
    .map(([position, point]) => `${position}: ${time(momentOf(point))} ${point.id}`);
  throw new CommandFailure(
    `the restore points of ${JSON.stringify(vm)} are of ${newest.size} of its disks: name one by its id; the newest of each is ${choices.slice(0, MOST_NAMED).join(', ')}`,
  );
}

/** Some of the points, each with its time and what speaks against it. */
function named(points: readonly ImageView[]): string {
  const some = points.slice(0, MOST_NAMED).map((point) => {
    const but = whyNot(point);
    return `${time(momentOf(point))} ${point.id}${but === null ? '' : ` (${but})`}`;
  });
  const rest = points.length - some.length;
  return `${some.join(', ')}${rest > 0 ? `, and ${rest} more` : ''}`;
}

/** What was chosen, in words. */
export function chosenText(point: ImageView): string {
  const { id, name, vm, verified } = point;
  const of = vm?.name ? ` of ${printable(vm.name)}` : '';
  return `The image ${id} "${printable(name ?? '')}"${of}, taken ${time(momentOf(point))}, ${verified ? 'verified' : 'not verified'}`;
}
