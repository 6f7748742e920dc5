import { HIDDEN, hide } from '../http/hide.ts';
import type { TaskRecord } from './types.ts';

/** Length of a refusal's message, which goes into logs and records: a parameter may be a plugin's whole output. */
const LONGEST_MESSAGE = 1000;

/**
 * A pool's refusal, or the end of a failed task. `code` and `params` are those of xapi's ErrorDescription, with
 * session references hidden; the arguments of the call are not kept, for they may be secrets.
 */
export class XapiError extends Error {
  override readonly name = 'XapiError';
  /** Such as `HANDLE_INVALID`. */
  readonly code: string;
  readonly params: readonly string[];
  /** The call that failed, or the task's name, such as `Async.VM.snapshot`. */
  readonly method: string;

  /** @param secrets texts to hide wherever a parameter quotes them, such as the session reference in use */
  constructor(method: string, description: readonly string[], secrets: readonly string[] = []) {
    const [code = 'UNKNOWN_ERROR', ...rawParams] = description;
    const params = hideSessions(code, rawParams).map((param) => hide(param, secrets));
    super(shortened(`${code}(${params.join(', ')})`));
    this.code = code;
    this.params = params;
    this.method = method;
  }
}

function shortened(text: string): string {
  return text.length > LONGEST_MESSAGE ? `${text.slice(0, LONGEST_MESSAGE - 1)}…` : text;
}

/** Whether `error` is a {@link XapiError} with one of these codes. */
export function isCode(error: unknown, ...codes: readonly string[]): error is XapiError {
  return error instanceof XapiError && codes.includes(error.code);
}

/** The failure that a task with status `failure` or `cancelled` ended with. */
export function taskError(task: Pick<TaskRecord, 'name_label' | 'status' | 'error_info'>): XapiError {
  const fallback = task.status === 'cancelled' ? 'TASK_CANCELLED' : 'UNKNOWN_ERROR';
  return new XapiError(task.name_label, task.error_info.length > 0 ? task.error_info : [fallback]);
}

/** How a plugin failed in dom0; see {@link describePluginFailure}. */
export type PluginFailure =
  | {
      /** The plugin's process ended badly, or xapi could not read what it printed. */
      readonly kind: 'process';
      /** Such as `non-zero exit`, `signal: SIGKILL`, `task stopped`, `failed to parse plugin output`, `fault`. */
      readonly status: string;
      /** What it printed; of a `fault`, the fault's code. */
      readonly stdout: string;
      /** What it printed to standard error; of a `fault`, the reason. */
      readonly stderr: string;
    }
  | {
      /** A function of the plugin raised an exception that XenAPIPlugin.py caught. */
      readonly kind: 'exception';
      /** The plugin's function. */
      readonly fn: string;
      /** The exception's Python class; `Failure` is XenAPI's, and its message then a Python repr of a list. */
      readonly className: string;
      readonly message: string;
    };

/**
 * Tells the two shapes of XENAPI_PLUGIN_FAILURE apart, which both have three parameters: `[status, stdout, stderr]`
 * comes from xapi itself (xapi_plugins.ml), `[fn, class, message]` from the plugin's dispatcher (XenAPIPlugin.py;
 * before 2011-06 with the code XENAPI_PLUGIN_EXCEPTION). Undefined for any other error, such as the plugin's own
 * codes.
 */
export function describePluginFailure(error: unknown): PluginFailure | undefined {
  if (!isCode(error, 'XENAPI_PLUGIN_FAILURE', 'XENAPI_PLUGIN_EXCEPTION')) return undefined;
  const [first = '', second = '', third = ''] = error.params;
  return error.code === 'XENAPI_PLUGIN_FAILURE' && isProcessStatus(first)
    ? { kind: 'process', status: first, stdout: second, stderr: third }
    : { kind: 'exception', fn: first, className: second, message: third };
}

const processStatuses = new Set([
  'non-zero exit',
  'task stopped',
  'failed to parse plugin output',
  'unexpected XMLRPC result',
  'fault',
]);

function isProcessStatus(text: string): boolean {
  return processStatuses.has(text) || text.startsWith('signal: ');
}

function hideSessions(code: string, params: readonly string[]): readonly string[] {
  if (code === 'SESSION_INVALID') return params.map(() => HIDDEN);
  if (code !== 'HANDLE_INVALID' || params[0]?.toLowerCase() !== 'session') return params;
  return params.map((param, index) => (index === 0 ? param : HIDDEN));
}
