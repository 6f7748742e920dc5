import { expect, it } from 'vitest';
import { ERROR_STATUS } from '../../../functions/errors.ts';
import { pluginFailure, uploadError } from '../../../functions/pool/dom0.ts';
import { XapiError } from '../../../xapi/errors.ts';

const failed = (code: string, ...params: string[]) =>
  pluginFailure(new XapiError('Async.host.call_plugin', [code, ...params]));

it.each([
  ['SR_NOT_ATTACHED', 'StorageNotAttached'],
  ['SR_NOT_SUPPORTED', 'StorageUnsupported'],
  ['FORMAT_NOT_SUPPORTED', 'DiskFormatUnsupported'],
  ['NO_DISK', 'VmHasNoDisk'],
  ['GLANCE_CERTIFICATE', 'GlanceCertificateMismatch'],
  ['GLANCE_FORBIDDEN', 'GlanceForbidden'],
  ['GLANCE_UNAUTHORIZED', 'GlanceUnauthorized'],
  ['GLANCE_UNAVAILABLE', 'GlanceUnavailable'],
  ['IMAGE_GONE', 'ImageDeleted'],
  ['IMAGE_NOT_QUEUED', 'GlanceConflict'],
  ['IMAGE_TOO_LARGE', 'GlanceTooLarge'],
  ['CANCELLED', 'JobCancelled'],
  ['SOMETHING_NEW', 'UploadFailed'],
])("calls the plugin's %s %s", (code, name) => {
  const error = uploadError({ code, message: 'why', retryable: false });
  expect(error).toMatchObject({ name, message: `The upload failed: why (${code})` });
  expect(ERROR_STATUS).toHaveProperty(name);
});

it("reads the plugin's own errors out of a task, and whether another try may help", () => {
  expect(failed('GLANCE_UNAVAILABLE', 'no answer', 'retryable')).toEqual({
    code: 'GLANCE_UNAVAILABLE',
    message: 'no answer',
    retryable: true,
  });
  expect(failed('NO_DISK', 'none', 'permanent')).toMatchObject({ retryable: false });
});

it('reads a process that died and an exception that nobody caught', () => {
  const died = failed('XENAPI_PLUGIN_FAILURE', 'signal: SIGKILL', '', `${'x'.repeat(400)}the end`);
  expect(died).toMatchObject({ code: 'PROCESS', retryable: false });
  expect(died?.message).toMatch(/^signal: SIGKILL x{293}the end$/);
  expect(failed('XENAPI_PLUGIN_FAILURE', 'put_vdis', 'KeyError', "'jobId'")).toEqual({
    code: 'KeyError',
    message: "'jobId'",
    retryable: false,
  });
});

it("leaves errors of xapi's own alone", () => {
  expect(failed('HOST_OFFLINE', 'OpaqueRef:1')).toBeUndefined();
  expect(pluginFailure(new Error('x'))).toBeUndefined();
});
