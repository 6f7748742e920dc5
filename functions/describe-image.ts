import { RETRYABLE_ERRORS } from '../statemachine/retries.ts';
import { GONE, unlessGone } from './pool/gone.ts';
import { describeVm } from './pool/vm-config.ts';
import type { DepsOf } from './step.ts';
import { translate } from './translate.ts';
import {
  detachedVmConfig,
  MOST_NVRAM_PROPERTY_BYTES,
  NVRAM_PROPERTY,
  shortVmConfig,
  VM_CONFIG_PROPERTY,
  type VmConfig,
} from './vm-config.ts';

/** What an image is told to be of, and whether its record says so. */
export interface Description {
  /** Undefined where the VM cannot be described. */
  readonly vmConfig?: VmConfig;
  readonly described: boolean;
}

/**
 * Has the image record say what VM it is of, before its data comes: while Glance receives that, it forgets what is
 * changed. An image without it is still good, so whatever does not pass by itself is a warning.
 */
export async function describeImage(
  deps: DepsOf<'StartUpload', 'templateRef' | 'templateUuid' | 'device'>,
): Promise<Description> {
  const { job, xapi, glance, store } = deps;
  let vmConfig: VmConfig | undefined;
  try {
    const template = { class: 'VM', ref: job.templateRef, uuid: job.templateUuid } as const;
    const whole = await unlessGone(xapi, template, (ref) => describeVm(xapi, ref, job.vmName, job.device));
    // The upload will say so.
    if (whole === GONE) return { described: job.described ?? false };
    vmConfig = job.request.detached ? detachedVmConfig(whole) : whole;
    if (job.described) return { vmConfig, described: true };
    const { nvram } = vmConfig;
    const isRaw = job.request.format === 'raw';
    const fits = nvram !== undefined && nvram.length <= MOST_NVRAM_PROPERTY_BYTES;
    await glance.updateImage(job.id, {
      [VM_CONFIG_PROPERTY]: shortVmConfig(vmConfig),
      ...(isRaw && fits && { [NVRAM_PROPERTY]: nvram }),
    });
    if (isRaw && nvram !== undefined && !fits) await store.jobs.warn(job.id, NO_ROOM, NO_ROOM);
    return { vmConfig, described: true };
  } catch (error) {
    const { name, message } = translate(error);
    if (RETRYABLE.has(name) || name === 'JobClosing') throw error;
    await store.jobs.warn(job.id, `${UNDESCRIBED}: ${message}`, `${UNDESCRIBED}.`);
    return { ...(vmConfig && { vmConfig }), described: false };
  }
}

const RETRYABLE: ReadonlySet<string> = new Set(RETRYABLE_ERRORS);

const UNDESCRIBED = 'The image does not say everything of the VM that a restore could use';
const NO_ROOM =
  "The VM's UEFI variables are too long for a property of the image: a restored VM finds its boot entries anew.";
