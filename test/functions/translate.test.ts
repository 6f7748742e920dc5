import { expect, it } from 'vitest';
import { ERROR_STATUS, XensnapError } from '../../functions/errors.ts';
import { asJobError, isReplyLost, translate } from '../../functions/translate.ts';
import { RETRYABLE_ERRORS } from '../../statemachine/retries.ts';
import { XapiError } from '../../xapi/errors.ts';

const ofPool = (code: string, ...params: string[]) => new XapiError('VM.snapshot', [code, ...params]);

it.each([
  ['SESSION_AUTHENTICATION_FAILED', 'PoolLoginRefused'],
  ['SESSION_AUTHORIZATION_FAILED', 'PoolLoginRefused'],
  ['RBAC_PERMISSION_DENIED', 'PoolPermissionDenied'],
  ['XENAPI_MISSING_PLUGIN', 'PluginMissing'],
  ['SR_BACKEND_FAILURE_44', 'StorageFull'],
  ['SR_FULL', 'StorageFull'],
  ['SR_BACKEND_FAILURE_109', 'SnapshotChainTooLong'],
  ['SR_HAS_NO_PBDS', 'StorageNotAttached'],
  ['NO_HOSTS_AVAILABLE', 'StorageNotAttached'],
  ['VM_IS_TEMPLATE', 'VmIsTemplate'],
  ['VM_IS_SNAPSHOT', 'VmIsSnapshot'],
  ['OTHER_OPERATION_IN_PROGRESS', 'XapiBusy'],
  ['VDI_IN_USE', 'XapiBusy'],
  ['HOST_STILL_BOOTING', 'XapiBusy'],
  ['CANNOT_CONTACT_HOST', 'XapiBusy'],
  ['HOST_OFFLINE', 'XapiBusy'],
  ['TOO_MANY_PENDING_TASKS', 'XapiBusy'],
  ['SR_BACKEND_FAILURE_24', 'XapiBusy'],
  ['SR_BACKEND_FAILURE_37', 'XapiBusy'],
  ['SR_BACKEND_FAILURE_40', 'XapiBusy'],
  ['SR_BACKEND_FAILURE_46', 'XapiBusy'],
  ['SR_BACKEND_FAILURE_47', 'XapiBusy'],
  ['SR_BACKEND_FAILURE_150', 'XapiBusy'],
  ['SR_BACKEND_FAILURE_4', 'XapiFailure'],
  ['VM_BAD_POWER_STATE', 'XapiFailure'],
  ['A_CODE_OF_TOMORROW', 'XapiFailure'],
])('calls %s %s, and says what the pool said', (code, name) => {
  const cause = ofPool(code, 'OpaqueRef:1', 'detail');
  const error = translate(cause);
  expect(error).toBeInstanceOf(XensnapError);
  expect(error).toMatchObject({ name, cause });
  expect(error.message).toContain('detail');
  expect(error.message).toMatch(/^[A-Z].*[.)]$/);
});

it('knows an SR of files that is full by the errno with which its snapshot failed', () => {
  const failed = (errno: number) =>
    ofPool('SR_BACKEND_FAILURE_81', '', `Failed to clone VDI [opterr=VDI clone failed error ${errno}]`, '');
  expect(translate(failed(28)).name).toBe('StorageFull');
  expect(translate(failed(5)).name).toBe('XapiFailure');
});

it('takes a handle of a VM that is refused for no proof that the VM is gone', () => {
  expect(translate(ofPool('HANDLE_INVALID', 'VM', 'OpaqueRef:1')).name).toBe('XapiFailure');
  expect(translate(ofPool('HANDLE_INVALID', 'VDI', 'OpaqueRef:1')).name).toBe('XapiFailure');
});

const named = (name: string) => Object.assign(new Error('why'), { name });

it.each([
  ['XapiUnreachable', 'PoolUnreachable'],
  ['XapiCertificateMismatch', 'PoolCertificateMismatch'],
  ['XapiReplyLost', 'XapiReplyLost'],
  ['XapiProtocolError', 'XapiReplyLost'],
  ['XapiRequestInvalid', 'XapiFailure'],
  ['XapiRequestTooLarge', 'XapiFailure'],
])("calls the client's %s %s", (from, name) => {
  const cause = named(from);
  expect(translate(cause)).toMatchObject({ name, message: 'why', cause });
});

it.each([new XensnapError('StillOwed', 'x'), named('GlanceUnavailable'), named('Broken')])(
  'passes $name as it is',
  (error) => {
    expect(translate(error)).toBe(error);
  },
);

it('makes an error of what is none', () => {
  expect(translate('text')).toMatchObject({ name: 'Internal', message: 'text' });
});

it('gives only names that the API has a status for', () => {
  for (const code of ['SR_FULL', 'VDI_IN_USE', 'NEW'])
    expect(ERROR_STATUS).toHaveProperty(translate(ofPool(code)).name);
});

it('knows by name after which errors it is unknown what a call did', () => {
  expect(['XapiReplyLost', 'XapiProtocolError'].map((name) => isReplyLost(named(name)))).toEqual([
    true,
    true,
  ]);
  expect([named('XapiUnreachable'), ofPool('SR_FULL'), 'XapiReplyLost'].map(isReplyLost)).toEqual([
    false,
    false,
    false,
  ]);
});

it("keeps name and message for a job's record", () => {
  expect(asJobError(named('XapiUnreachable'))).toEqual({ name: 'PoolUnreachable', message: 'why' });
  expect(RETRYABLE_ERRORS).toContain('PoolUnreachable');
});

it('puts on record no name that nobody has documented', () => {
  expect(asJobError(new SyntaxError('odd'))).toEqual({ name: 'Internal', message: 'odd (SyntaxError)' });
  const denied = Object.assign(new Error('no right'), { name: 'AccessDeniedException' });
  expect(asJobError(denied)).toEqual({ name: 'Internal', message: 'no right (AccessDeniedException)' });
  expect(asJobError(new XensnapError('VmGone', 'gone'))).toEqual({ name: 'VmGone', message: 'gone' });
});
