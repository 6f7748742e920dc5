import * as z from 'zod';
import { describePluginFailure, isCode, XapiError } from '../../xapi/errors.ts';
import type { Session } from '../../xapi/session.ts';
import type { Ref } from '../../xapi/types.ts';
import { type ErrorName, XensnapError } from '../errors.ts';
import type { VmConfig } from '../vm-config.ts';
import { type ImageFormat, UPLOAD_SOURCES } from '../words.ts';

/** The plugin's name in /etc/xapi.d/plugins. */
export const PLUGIN = 'glance';

/** The version of the plugin's functions that these functions speak. */
export const API_VERSION = 4;

const Version = z.object({ version: z.string(), api: z.number() });

const UploadResult = z.object({
  source: z.enum(UPLOAD_SOURCES),
  warnings: z.array(z.string()),
  vhds: z.array(z.object({ name: z.string(), uuid: z.string(), bytes: z.number() })),
  bytesRead: z.number(),
  bytesSent: z.number(),
  sha512: z.string(),
});

const DownloadResult = z.object({
  warnings: z.array(z.string()),
  bytesRead: z.number(),
  bytesWritten: z.number(),
  virtualBytes: z.number(),
  sha512: z.string(),
  /** The text of the bundle's `vm.json`, at which nobody has looked; as long as the plugin lets one be. */
  vmConfig: z
    .string()
    .max(112 * 1024)
    .nullish(),
});

const Status = z.object({
  state: z.enum(['unknown', 'running', 'succeeded', 'failed', 'cancelled']),
  bytesRead: z.number().nullish(),
  bytesTotal: z.number().nullish(),
  etaSeconds: z.number().nullish(),
  /** A name of its own for each try. */
  run: z.string().nullish(),
  error: z.object({ code: z.string(), message: z.string(), retryable: z.boolean() }).nullish(),
});

const UploadStatus = Status.extend({
  bytesSent: z.number().nullish(),
  /** What is read, once that is decided. */
  source: z.enum(UPLOAD_SOURCES).nullish(),
  result: UploadResult.nullish(),
});

const DownloadStatus = Status.extend({
  bytesWritten: z.number().nullish(),
  result: DownloadResult.nullish(),
});

/** How what the plugin does for a job stands, as the host that does it says; an upload, and a restore's download. */
export type TransferStatus = z.infer<typeof Status>;
export type UploadStatus = z.infer<typeof UploadStatus>;
export type DownloadStatus = z.infer<typeof DownloadStatus>;
export type TransferFailure = NonNullable<TransferStatus['error']>;

/** What `put_vdis` is told. The token is not among it: arguments can be seen by `ps` in dom0. */
export interface PutVdis {
  readonly jobId: string;
  readonly imageId: string;
  readonly templateUuid: string;
  /** The disk's `userdevice`, the same in the template as in the VM. */
  readonly device: string;
  /** `auto` reads the chain of files where there is one, `export` has xapi flatten the disk. */
  readonly source: 'auto' | 'export';
  readonly format: ImageFormat;
  /** What VM it was, for the first entry of the bundle; a raw image has none. */
  readonly vmConfig?: VmConfig;
  readonly glanceUrl: string;
  /** UUID of the xapi secret that holds the token. */
  readonly tokenSecret: string | null;
  readonly caPem?: string;
  readonly fingerprint?: string;
}

/** What `get_vdis` is told. */
export interface GetVdis {
  readonly jobId: string;
  readonly imageId: string;
  readonly vdiUuid: string;
  readonly virtualBytes: number;
  /** What the image is. */
  readonly format: ImageFormat;
  /** Glance's `size` and `os_hash_value`: what is read must be exactly that. */
  readonly sizeBytes: number;
  readonly sha512: string | null;
  /** Whether zeros need not be written. */
  readonly readsAsZeros: boolean;
  /** The value of the tag of the plugin's VBD. */
  readonly installation: string;
  readonly glanceUrl: string;
  readonly tokenSecret: string | null;
  readonly caPem?: string;
  readonly fingerprint?: string;
}

/**
 * Answers the version; throws PluginMissing, or PluginTooOld for a plugin of that name that does not speak ours: Nova's,
 * or the first of ours, whose hard links in an SR can cost a VM its disk.
 */
export async function requirePlugin(xapi: Session, hostRef: Ref<'host'>, hostName: string): Promise<string> {
  try {
    const { version, api } = Version.parse(await call(xapi, hostRef, 'version', {}));
    if (api >= API_VERSION) return version;
    throw new XensnapError(
      'PluginTooOld',
      `The glance plugin on host "${hostName}" is version ${version}, too old. ${INSTALL}`,
    );
  } catch (error) {
    // Nova's plugin has the same name and no such function.
    if (isCode(error, 'UNKNOWN_XENAPI_PLUGIN_FUNCTION') || error instanceof z.ZodError)
      throw new XensnapError(
        'PluginTooOld',
        `Host "${hostName}" has another glance plugin than ours. ${INSTALL}`,
        {
          cause: error,
        },
      );
    throw error;
  }
}

const INSTALL = 'Install the present one as plugin/README.md says.';

/** Asks the host for an upload's status. */
export async function uploadStatus(
  xapi: Session,
  hostRef: Ref<'host'>,
  jobId: string,
): Promise<UploadStatus> {
  return readable(UploadStatus, await call(xapi, hostRef, 'status', { jobId }));
}

/** Asks the host for a download's status. */
export async function downloadStatus(
  xapi: Session,
  hostRef: Ref<'host'>,
  jobId: string,
): Promise<DownloadStatus> {
  return readable(DownloadStatus, await call(xapi, hostRef, 'status', { jobId }));
}

/** Stops a job's upload or download, and refuses one that may come later. Answers how it stands then. */
export async function cancelPlugin(
  xapi: Session,
  hostRef: Ref<'host'>,
  jobId: string,
): Promise<TransferStatus> {
  return readable(Status, await call(xapi, hostRef, 'cancel', { jobId }));
}

const Leftovers = z.object({
  folders: z.array(z.object({ sr: z.string(), name: z.string(), ageSeconds: z.number() })),
  /** UUIDs of SRs that the host could not look through in time. */
  unanswered: z.array(z.string()),
});

/** What the first version of the plugin left in SRs: folders with hard links to disks. */
export type Leftovers = z.infer<typeof Leftovers>;

/** Asks a host which of its SRs hold staging folders of the first version. */
export async function leftoversOf(xapi: Session, hostRef: Ref<'host'>): Promise<Leftovers> {
  return readable(Leftovers, await call(xapi, hostRef, 'leftovers', {}));
}

/** Begins an upload; answers the task that carries it. */
export function putVdis(xapi: Session, hostRef: Ref<'host'>, params: PutVdis): Promise<Ref<'task'>> {
  return xapi.call('Async.host.call_plugin', hostRef, PLUGIN, 'put_vdis', { params: JSON.stringify(params) });
}

/** Begins a download into a disk; answers the task that carries it. */
export function getVdis(xapi: Session, hostRef: Ref<'host'>, params: GetVdis): Promise<Ref<'task'>> {
  return xapi.call('Async.host.call_plugin', hostRef, PLUGIN, 'get_vdis', { params: JSON.stringify(params) });
}

/** @throws PluginFailure for an answer of another shape: a plugin that is just being exchanged may give one */
function readable<T>(schema: z.ZodType<T>, answer: unknown): T {
  const read = schema.safeParse(answer);
  if (read.success) return read.data;
  throw new XensnapError('PluginFailure', 'The glance plugin gave an answer that cannot be read.', {
    cause: read.error,
  });
}

async function call(xapi: Session, hostRef: Ref<'host'>, fn: string, params: object): Promise<unknown> {
  try {
    return JSON.parse(
      await xapi.call('host.call_plugin', hostRef, PLUGIN, fn, { params: JSON.stringify(params) }),
    );
  } catch (error) {
    if (error instanceof SyntaxError)
      throw new XensnapError('PluginFailure', 'The glance plugin gave an answer that is no JSON.', {
        cause: error,
      });
    const failure = pluginFailure(error);
    if (failure)
      throw new XensnapError('PluginFailure', `The glance plugin failed: ${failure.message}`, {
        cause: error,
      });
    throw error;
  }
}

/** What a task of the plugin's failed with, in the plugin's terms; undefined for an error of xapi's own. */
export function pluginFailure(error: unknown): TransferFailure | undefined {
  const failure = describePluginFailure(error);
  if (failure?.kind === 'process')
    return {
      code: 'PROCESS',
      message: `${failure.status} ${failure.stderr.trim().slice(-300)}`,
      retryable: false,
    };
  if (failure) return { code: failure.className, message: failure.message, retryable: false };
  if (!(error instanceof XapiError) || !(error.params[1] === 'retryable' || error.params[1] === 'permanent'))
    return undefined;
  return { code: error.code, message: error.params[0] ?? '', retryable: error.params[1] === 'retryable' };
}

const NAMES: Readonly<Record<string, ErrorName>> = {
  CANCELLED: 'JobCancelled',
  DISK_TOO_LARGE: 'DiskTooLarge',
  FORMAT_NOT_SUPPORTED: 'DiskFormatUnsupported',
  GLANCE_CERTIFICATE: 'GlanceCertificateMismatch',
  GLANCE_FORBIDDEN: 'GlanceForbidden',
  GLANCE_UNAUTHORIZED: 'GlanceUnauthorized',
  GLANCE_UNAVAILABLE: 'GlanceUnavailable',
  IMAGE_GONE: 'ImageDeleted',
  IMAGE_NOT_QUEUED: 'GlanceConflict',
  IMAGE_TOO_LARGE: 'GlanceTooLarge',
  NO_DISK: 'VmHasNoDisk',
  SR_NOT_ATTACHED: 'StorageNotAttached',
  SR_NOT_SUPPORTED: 'StorageUnsupported',
};

/** What the same codes, and others, mean of a download. */
const NAMES_OF_DOWNLOAD: Readonly<Record<string, ErrorName>> = {
  ...NAMES,
  HASH_MISMATCH: 'ImageDamaged',
  IMAGE_DAMAGED: 'ImageDamaged',
  IMAGE_GONE: 'ImageNotFound',
  IMAGE_NOT_ACTIVE: 'ImageNotRestorable',
  NO_DISK: 'RestoreFailed',
  SR_FULL: 'StorageFull',
  VDI_TOO_SMALL: 'ImageNotRestorable',
};

/** A failed upload as the job's error. */
export function uploadError({ code, message }: TransferFailure): XensnapError {
  return new XensnapError(NAMES[code] ?? 'UploadFailed', `The upload failed: ${message} (${code})`);
}

/** A failed download as the job's error. */
export function downloadError({ code, message }: TransferFailure): XensnapError {
  const name = NAMES_OF_DOWNLOAD[code] ?? 'RestoreFailed';
  return new XensnapError(name, `The download failed: ${message} (${code})`);
}
