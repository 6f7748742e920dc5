import type { RestoreJob } from './job.ts';
import { readVmConfig, type VmConfig } from './vm-config.ts';

/** How the names of what a restore makes begin while it is at work, so that operators leave it alone. */
const AT_WORK = '[xensnap restoring]';
const UNDER_TEST = '[xensnap restore test]';
/** xapi takes longer names, its clients do not show them. */
const MOST_NAME_CHARACTERS = 200;

/** The name of what a restore makes while it is at work; with the job's id, by which it is found again. */
export function nameAtWork({
  id,
  imageName = '',
  request,
}: Pick<RestoreJob, 'id' | 'imageName' | 'request'>): string {
  return `${request.test ? UNDER_TEST : AT_WORK} ${imageName.slice(0, MOST_NAME_CHARACTERS).toWellFormed()} (${id})`;
}

/** Whether it is a name of something that a restore has not finished yet. */
export function isNameAtWork(name: string): boolean {
  return name.startsWith(AT_WORK) || name.startsWith(UNDER_TEST);
}

/** Whether what the restore has made stays. */
export function isKept({ committed, request }: Pick<RestoreJob, 'committed' | 'request'>): boolean {
  return committed === true && request.test !== true;
}

/** What the image says of its VM, as it went through its reader. */
export function vmConfigOf({ vmConfig }: Pick<RestoreJob, 'vmConfig'>): VmConfig | undefined {
  return vmConfig === undefined ? undefined : readVmConfig(vmConfig);
}

/** The name that the VM gets in the end. */
export function vmNameOf(job: RestoreJob): string {
  return job.request.name ?? vmConfigOf(job)?.name ?? job.imageName ?? job.request.image;
}

/**
 * The name of a disk that was taken out of its VM: the one that was there before, or, after an undo, the one that was
 * restored.
 */
export function keptNameOf(job: RestoreJob, { undone = false } = {}): string {
  const image = (job.imageName ?? job.request.image).slice(0, MOST_NAME_CHARACTERS / 2).toWellFormed();
  const name = (job.vmBefore?.disk.name ?? '').slice(0, MOST_NAME_CHARACTERS).toWellFormed();
  return `[${undone ? 'restored of' : 'before the restore of'} ${image}] ${name}`;
}

/** The name and the description that the disk gets in the end: in a VM that is there, those of the one before it. */
export function diskNameOf(job: RestoreJob): { readonly name: string; readonly description: string } {
  if (job.vmBefore) return job.vmBefore.disk;
  const { name, description = '' } = vmConfigOf(job)?.disk ?? {};
  return { name: job.request.name ?? name ?? vmNameOf(job), description };
}
