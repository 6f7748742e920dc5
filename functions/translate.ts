import { XapiError } from '../xapi/errors.ts';
import { awsFailure } from './aws-failure.ts';
import { documented, type ErrorName, type Reason, XensnapError } from './errors.ts';

/** xapi's codes by what they mean to a job: another try may help, or a person must. */
const BY_CODE: Readonly<Record<string, [ErrorName, string]>> = {
  SESSION_AUTHENTICATION_FAILED: [
    'PoolLoginRefused',
    "The pool refused user name and password. Put the right ones into the pool's secret (on one machine: --user and the file of --password-file).",
  ],
  SESSION_AUTHORIZATION_FAILED: [
    'PoolLoginRefused',
    'The pool refused the login: the account has no access.',
  ],
  RBAC_PERMISSION_DENIED: [
    'PoolPermissionDenied',
    'The account may not do this in the pool. xensnap needs the role pool-admin, for host.call_plugin.',
  ],
  XENAPI_MISSING_PLUGIN: [
    'PluginMissing',
    'The glance plugin is not installed on the host. Install it as plugin/README.md says.',
  ],
  SR_FULL: ['StorageFull', 'The storage repository is full. Free some space and try again.'],
  SR_BACKEND_FAILURE_109: [
    'SnapshotChainTooLong',
    "The disk's chain of snapshots is too long. Delete snapshots, let the pool coalesce, and try again.",
  ],
  SR_HAS_NO_PBDS: ['StorageNotAttached', 'The storage repository is attached to no host.'],
  NO_HOSTS_AVAILABLE: ['StorageNotAttached', 'No host that is up has all disks of the VM attached.'],
  VM_IS_TEMPLATE: ['VmIsTemplate', 'This is a template, not a VM.'],
  VM_IS_SNAPSHOT: ['VmIsSnapshot', 'This is a snapshot, not a VM.'],
};

/** Codes that say "not now". xapi.md section 7 lists them. */
const BUSY =
  /^(OTHER_OPERATION_IN_PROGRESS|VDI_IN_USE|DEVICE_DETACH_(REJECTED|TIMEOUT)|HOST_STILL_BOOTING|CANNOT_CONTACT_HOST|HOST_OFFLINE|TOO_MANY_PENDING_TASKS|SR_BACKEND_FAILURE_(24|37|40|46|47|150))$/;

/**
 * The error under the name on which the state machine routes and that callers see. An error of ours or of Glance
 * passes as it is.
 */
export function translate(error: unknown): Error {
  if (!(error instanceof Error)) return new XensnapError('Internal', String(error));
  if (error instanceof XapiError) return ofCode(error);
  if (error instanceof XensnapError) return error;
  const message = error.message;
  switch (error.name) {
    case 'XapiUnreachable':
      return new XensnapError('PoolUnreachable', message, { cause: error });
    case 'XapiTimeUp':
      return new XensnapError('XapiBusy', `The pool is slow: ${message}.`, { cause: error });
    case 'XapiCertificateMismatch':
      return new XensnapError('PoolCertificateMismatch', message, { cause: error });
    case 'XapiReplyLost':
    case 'XapiProtocolError':
      return new XensnapError('XapiReplyLost', message, { cause: error });
    case 'XapiRequestInvalid':
    case 'XapiRequestTooLarge':
      return new XensnapError('XapiFailure', message, { cause: error });
    default:
      return awsFailure(error) ?? error;
  }
}

/** sm's code for no space is the LVM family's alone; an SR of files fails at the snapshot, with the errno (FileSR.py). */
export function isStorageFull({ code, params }: XapiError): boolean {
  return (
    /^SR_(BACKEND_FAILURE_44|FULL)$/.test(code) || (/^SR_/.test(code) && /error 28\b/.test(params[1] ?? ''))
  );
}

function ofCode(error: XapiError): XensnapError {
  const known = BY_CODE[isStorageFull(error) ? 'SR_FULL' : error.code];
  if (known) return new XensnapError(known[0], `${known[1]} (${error.message})`, { cause: error });
  if (BUSY.test(error.code))
    return new XensnapError('XapiBusy', `The pool is busy: ${error.message}`, { cause: error });
  return new XensnapError('XapiFailure', `The pool answered ${error.message}.`, { cause: error });
}

/** Translates like {@link translate}, and names the pool where the pool is at fault. */
export function translateOfPool(pool: string, error: unknown): Error {
  const translated = translate(error);
  if (!(translated instanceof XensnapError) || !/^(Pool|Xapi)/.test(translated.name)) return translated;
  return new XensnapError(translated.name, `Pool "${pool}": ${translated.message}`, {
    cause: error,
    details: { ...translated.details, pool },
  });
}

/** Whether a call went out and what it did is unknown: no answer came, or none that can be read. */
export function isReplyLost(error: unknown): boolean {
  return error instanceof Error && (error.name === 'XapiReplyLost' || error.name === 'XapiProtocolError');
}

/** The error as it goes on record, under a documented name. */
export function asJobError(error: unknown): Reason {
  return documented(translate(error));
}
