import type { Image } from '../glance/image.ts';
import { sendable } from '../xapi/sendable.ts';
import type { Config } from './config.ts';
import { XensnapError } from './errors.ts';
import { MAX_VHD_BYTES } from './pool/inspect.ts';
import { NVRAM_PROPERTY, readVmConfig, VM_CONFIG_PROPERTY, type VmConfig } from './vm-config.ts';
import type { ImageFormat } from './words.ts';

/** An image as far as a restore needs to know it. What it says of its VM is untrusted, and read by its reader. */
export interface RestorableImage {
  readonly id: string;
  readonly name: string;
  readonly format: ImageFormat;
  /** What is read of it must be exactly that. The hash is null where Glance has another than sha512. */
  readonly sizeBytes: number;
  readonly sha512: string | null;
  readonly virtualBytes: number;
  readonly vmConfig?: VmConfig;
  /** UUID and name of the VM that it says it is of; the one of an image of ours, as its job wrote it. */
  readonly vmUuid?: string;
  readonly vmName?: string;
  /** What whoever restores it should know of it. */
  readonly warnings: readonly string[];
}

/** Whether the image is a caller's to read: of a project that is no admin's, not every one is. */
export function isReadable(image: Image, project: string | undefined, config: Config): boolean {
  const confined = project !== undefined && config.projects?.[project]?.admin !== true;
  return !confined || mayRead(image, project, config);
}

/** Who may read it: its owner, the project that it was made for by our own service, and everybody if it is for all. */
function mayRead(image: Image, project: string, config: Config): boolean {
  if (image.owner === project || image.visibility === 'public') return true;
  // In such a Glance the service owns all that it makes, and nobody else can write its properties.
  return (
    config.imagesBelongTo === 'service' &&
    image.properties.xensnap_installation === config.installation &&
    image.properties.xensnap_project === project
  );
}

/**
 * The image as something to restore.
 * @param project the caller's, where the API is for projects and it is no admin's
 * @throws ImageNotFound where there is none that the project may read; ImageNotRestorable
 */
export function restorableImage(
  id: string,
  image: Image | undefined,
  project: string | undefined,
  config: Config,
): RestorableImage {
  if (!image || !isReadable(image, project, config))
    throw new XensnapError('ImageNotFound', `There is no image ${id}.`);
  const refuse = (why: string) =>
    new XensnapError('ImageNotRestorable', `The image "${image.name ?? id}" cannot be restored: ${why}.`);
  if (image.status !== 'active') throw refuse(`it is ${image.status}, not active`);
  const format = formatOf(image);
  if (!format) throw refuse(`it is ${image.diskFormat} in ${image.containerFormat}`);
  const { sizeBytes } = image;
  if (sizeBytes === null || sizeBytes === 0) throw refuse('it has no data');
  const vmConfig = vmConfigOf(image);
  const virtualBytes =
    format === 'raw' ? sizeBytes : (vmConfig?.disk.virtualBytes ?? (image.minDisk ?? 0) * 2 ** 30);
  if (virtualBytes <= 0) throw refuse('it does not say how large its disk is: set min_disk, in GiB');
  if (format === 'vhd' && virtualBytes > MAX_VHD_BYTES)
    throw refuse('it says that its disk has more than 2040 GiB');
  const { xensnap_vm: vmUuid, xensnap_vm_name: vmName } = image.properties;
  const sha512 = image.osHashAlgo === 'sha512' ? image.osHashValue : null;
  return {
    id: image.id,
    name: sendable(image.name ?? image.id),
    format,
    sizeBytes,
    sha512,
    virtualBytes,
    ...(vmConfig && { vmConfig }),
    ...(vmUuid !== undefined && { vmUuid }),
    ...(vmName !== undefined && { vmName }),
    warnings: image.properties.xensnap_verified === 'true' ? [] : [NEVER_VERIFIED],
  };
}

const NEVER_VERIFIED = 'The image was never verified by the job that made it, or was not made by xensnap.';

function formatOf({ diskFormat, containerFormat }: Image): ImageFormat | undefined {
  if (diskFormat === 'vhd' && containerFormat === 'ovf') return 'vhd';
  return diskFormat === 'raw' && containerFormat === 'bare' ? 'raw' : undefined;
}

/** The property, with the UEFI variables that a raw image has beside it. */
function vmConfigOf({ properties }: Image): VmConfig | undefined {
  const text = properties[VM_CONFIG_PROPERTY];
  const config = text === undefined ? undefined : readVmConfig(text);
  const nvram = properties[NVRAM_PROPERTY];
  if (!config || nvram === undefined) return config;
  return readVmConfig(JSON.stringify({ ...config, nvram })) ?? config;
}
