import { describe, expect, it } from 'vitest';
import { describePluginFailure, isCode, taskError, XapiError } from '../../xapi/errors.ts';

const anError = (...description: string[]) => new XapiError('host.call_plugin', description);

describe('XapiError', () => {
  it('keeps code and parameters, and says them', () => {
    const error = anError('VM_BAD_POWER_STATE', 'OpaqueRef:1', 'halted', 'running');
    expect(error).toMatchObject({
      name: 'XapiError',
      method: 'host.call_plugin',
      code: 'VM_BAD_POWER_STATE',
      params: ['OpaqueRef:1', 'halted', 'running'],
      message: 'VM_BAD_POWER_STATE(OpaqueRef:1, halted, running)',
    });
  });

  it.each([
    ['SESSION_INVALID', ['SESSION_INVALID', 'OpaqueRef:s3cret']],
    ['HANDLE_INVALID of a session', ['HANDLE_INVALID', 'session', 'OpaqueRef:s3cret']],
    ['any code that quotes a known secret', ['INTERNAL_ERROR', 'no OpaqueRef:s3cret here']],
  ])('hides the session’s reference in %s', (_, description) => {
    const error = new XapiError('VM.get_all', description, ['OpaqueRef:s3cret']);
    expect(JSON.stringify([error, error.message, error.stack])).not.toContain('s3cret');
  });

  it('hides no other reference', () => {
    expect(anError('HANDLE_INVALID', 'VM', 'OpaqueRef:1').message).toBe('HANDLE_INVALID(VM, OpaqueRef:1)');
  });

  it('is told by its code', () => {
    expect(isCode(anError('HANDLE_INVALID', 'VM', 'x'), 'UUID_INVALID', 'HANDLE_INVALID')).toBe(true);
    expect(isCode(anError('HANDLE_INVALID', 'VM', 'x'), 'UUID_INVALID')).toBe(false);
    expect(isCode(new Error('HANDLE_INVALID'), 'HANDLE_INVALID')).toBe(false);
  });

  it('is also what a failed or cancelled task ended with', () => {
    const task = {
      name_label: 'Async.VM.snapshot',
      error_info: ['SR_BACKEND_FAILURE_44', '', 'no space', ''],
    };
    expect(taskError({ ...task, status: 'failure' })).toMatchObject({
      code: 'SR_BACKEND_FAILURE_44',
      params: ['', 'no space', ''],
      method: 'Async.VM.snapshot',
    });
    expect(taskError({ ...task, status: 'cancelled', error_info: [] }).code).toBe('TASK_CANCELLED');
  });
});

describe('a failed plugin', () => {
  it.each([
    ['non-zero exit', 'out', 'Traceback'],
    ['signal: SIGKILL', '', ''],
    ['task stopped', '', ''],
    ['failed to parse plugin output', 'debugging…', ''],
    ['fault', '1', 'reason'],
  ])('whose process ended with “%s” gives what it printed', (status, stdout, stderr) => {
    const failure = describePluginFailure(anError('XENAPI_PLUGIN_FAILURE', status, stdout, stderr));
    expect(failure).toEqual({ kind: 'process', status, stdout, stderr });
  });

  it('that printed several values gives them', () => {
    const failure = describePluginFailure(
      anError('XENAPI_PLUGIN_FAILURE', 'unexpected XMLRPC result', 'a b'),
    );
    expect(failure).toEqual({
      kind: 'process',
      status: 'unexpected XMLRPC result',
      stdout: 'a b',
      stderr: '',
    });
  });

  it.each(['XENAPI_PLUGIN_FAILURE', 'XENAPI_PLUGIN_EXCEPTION'])(
    'whose function raised an exception gives class and message (%s)',
    (code) => {
      const failure = describePluginFailure(anError(code, 'put_vdis', 'OSError', '[Errno 28] No space left'));
      expect(failure).toEqual({
        kind: 'exception',
        fn: 'put_vdis',
        className: 'OSError',
        message: '[Errno 28] No space left',
      });
    },
  );

  it('that chose its own code is none of these', () => {
    expect(describePluginFailure(anError('GLANCE_UNAUTHORIZED', 'x'))).toBeUndefined();
    expect(describePluginFailure(new Error('x'))).toBeUndefined();
  });
});

it('a refusal has all of what xapi says in its parameters, and as much as can be read in its message', () => {
  const output = 'x'.repeat(500_000);
  const error = new XapiError('host.call_plugin', ['XENAPI_PLUGIN_FAILURE', 'non-zero exit', output, '']);
  expect(error.params[1]).toBe(output);
  expect(error.message).toMatch(/^XENAPI_PLUGIN_FAILURE\(non-zero exit, x+…$/);
  expect(error.message).toHaveLength(1000);
});
