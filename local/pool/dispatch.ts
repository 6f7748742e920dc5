import { randomUUID } from 'node:crypto';
import { logCall, type Request } from './call-log.ts';
import { eventCalls } from './classes/event.ts';
import { atHost, workingHost } from './classes/forwarding.ts';
import { hostCalls } from './classes/host.ts';
import { messageCalls } from './classes/message.ts';
import { pbdCalls } from './classes/pbd.ts';
import { secretCalls } from './classes/secret.ts';
import { checkSession, login, sessionCalls } from './classes/session.ts';
import { srCalls } from './classes/sr.ts';
import { completeTask, createTask, failTask, taskCalls } from './classes/task.ts';
import { vbdCalls } from './classes/vbd.ts';
import { vdiCalls } from './classes/vdi.ts';
import { cloneCalls } from './classes/vdi-clone.ts';
import { vifCalls } from './classes/vif.ts';
import { vmCalls } from './classes/vm.ts';
import { vmCreateCalls } from './classes/vm-create.ts';
import { revertVm } from './classes/vm-revert.ts';
import { vmShutdownCalls } from './classes/vm-shutdown.ts';
import { vmStartCalls } from './classes/vm-start.ts';
import { vtpmCalls } from './classes/vtpm.ts';
import { coerce } from './database/coerce.ts';
import { readConstructor } from './database/constructor.ts';
import { type Call, calls } from './database/datamodel.ts';
import { genericCall } from './database/generic.ts';
import { hasCome, isRemoved } from './database/release.ts';
import { NULL_REF, type Value } from './database/value.ts';
import { asFailure, ConnectionCut, XapiFailure } from './failure.ts';
import { waitUnlessRestarted, withFault } from './faults.ts';
import type { Context, PoolState } from './state.ts';

/** Its arguments have been read as the data model's types before; it answers a Value, or nothing for void. */
type Implementation = (context: Context, ...args: never[]) => unknown;

/** The calls that do more than read and write the database; the rest is generated, or not there. */
const implementations: Record<string, Implementation> = {
  ...eventCalls,
  ...hostCalls,
  ...messageCalls,
  ...pbdCalls,
  ...secretCalls,
  ...sessionCalls,
  ...srCalls,
  ...taskCalls,
  ...vbdCalls,
  ...vdiCalls,
  ...cloneCalls,
  ...vifCalls,
  ...vmCalls,
  ...vmCreateCalls,
  ...vmStartCalls,
  ...vmShutdownCalls,
  ...vtpmCalls,
  'VM.revert': revertVm,
};

const LONGEST_LOG = 100_000;

/**
 * Carries out one call as xapi's dispatcher does (gen_server.ml): the number of its parameters, then the session, then
 * whether this release still has it.
 * @throws XapiFailure the answer is that failure
 * @throws ConnectionCut there is to be no answer
 */
export async function dispatch(pool: PoolState, request: Request): Promise<Value> {
  const entry = logCall(pool, request);
  pool.calls.push(entry);
  if (pool.calls.length > LONGEST_LOG) pool.calls.shift();
  try {
    const fault = pool.faults.forCall(request.method, entry.args);
    if (!fault || fault.code !== undefined || fault.drop === 'before')
      return await withFault(fault, pool.clock, () => carryOut(pool, request, entry.args));
    // What waits has come in already: that its caller logs out meanwhile changes nothing.
    const { hold: _hold, delaySeconds: _delay, ...rest } = fault;
    return await withFault(rest, pool.clock, () =>
      carryOut(pool, request, entry.args, () => waitUnlessRestarted(fault, pool)),
    );
  } catch (error) {
    entry.error = errorText(error);
    throw error;
  }
}

function errorText(error: unknown): string {
  if (error instanceof ConnectionCut) return 'connection cut';
  const { code, description } = asFailure(error);
  // Its parameter is a session.
  return code === 'SESSION_INVALID' ? code : description.join(' ');
}

async function carryOut(
  pool: PoolState,
  request: Request,
  loggedArgs: unknown[],
  wait?: () => Promise<void>,
): Promise<Value> {
  const { host, channel, method, params } = request;
  const isAsync = method.startsWith('Async.');
  const name = method.replace(/^Async\./, '');
  if (name === 'system.listMethods') return listMethods(pool);
  const call = calls.get(name);
  if (!call || !isKnown(pool, call)) {
    // With a parameter it may be an extension, so the session is looked at first.
    if (params[0] !== undefined) checkSession(pool, host, channel, String(params[0]));
    throw new XapiFailure('MESSAGE_METHOD_UNKNOWN', name);
  }
  const args = readArguments(pool, call, params);
  if (call.needsSession) coerce({ type: 'session ref' }, params[0] ?? '');
  if (!call.needsSession) await wait?.();
  if (name === 'session.login_with_password' || name === 'session.slave_local_login_with_password')
    return login(pool, host, channel, ...(args.map(String) as [string, string]));
  const session = String(params[0] ?? '');
  checkSession(pool, host, channel, session);
  await wait?.();
  if (isRemoved(pool.settings.release, name)) throw new XapiFailure('MESSAGE_REMOVED');
  if (isAsync && !call.hasAsync)
    throw new XapiFailure('Fault', `No async mode for this operation (rpc: ${name})`);
  const context: Context = { pool, host, session, task: NULL_REF };
  if (!call.hasAsync) return run(context, call, args);
  // A call about tasks has none in the database, only the name of one.
  const task =
    call.className === 'task'
      ? `DummyRef:|${randomUUID()}|${method}`
      : createTask(pool, { label: method, session, host: host.ref, ofCall: !isAsync });
  const work = async (): Promise<Value> => {
    const fault = isAsync ? pool.faults.forOperation(name, loggedArgs) : undefined;
    return withFault(fault, pool.clock, async () => run({ ...context, task }, call, args));
  };
  return isAsync ? startTask(pool, task, work) : withTask(pool, task, work);
}

/** The answer is the task; what comes of it is in its record. */
function startTask(pool: PoolState, task: string, work: () => Promise<Value>): string {
  work().then(
    (result) => completeTask(pool, task, result),
    (error: unknown) => failTask(pool, task, asFailure(error)),
  );
  return task;
}

/** A call that waits has a task as well, as long as it lasts. */
async function withTask(pool: PoolState, task: string, work: () => Promise<Value>): Promise<Value> {
  try {
    return await work();
  } finally {
    if (pool.db.has('task', task)) pool.db.destroy('task', task);
  }
}

async function run(context: Context, call: Call, args: Value[]): Promise<Value> {
  const { pool } = context;
  const implementation = implementations[call.name];
  if (!implementation) return genericCall(pool.db, call, args);
  const work = async (): Promise<Value> =>
    ((await implementation(context, ...(args as never[]))) ?? '') as Value;
  const host = workingHost(pool, call.name, args);
  return host === undefined ? work() : atHost(context, host, work);
}

function listMethods(pool: PoolState): string[] {
  const own = [...calls.values()].filter((call) => isKnown(pool, call));
  return own.map(({ name }) => name).filter((name) => !isRemoved(pool.settings.release, name));
}

/** Whether the release has heard of the call: a field's calls came with the field. */
function isKnown({ settings }: PoolState, { name, className, field }: Call): boolean {
  return hasCome(settings.release, name) && hasCome(settings.release, `${className}.${field}`);
}

/** Counts as gen_server.ml: optional parameters are not expected, and where there are some, any number may follow. */
function readArguments(pool: PoolState, call: Call, params: readonly Value[]): Value[] {
  const declared = call.params.filter(
    ({ name }) => name !== 'ignore_vdis' || pool.settings.release.ignoresVdis,
  );
  const required = declared.filter(({ optional }) => !optional).length;
  const own = call.needsSession ? params.slice(1) : params;
  const received = params.length - (call.needsSession ? 1 : 0);
  if (received < required || (received > required && declared.length === required))
    throw new XapiFailure('MESSAGE_PARAMETER_COUNT_MISMATCH', call.name, String(required), String(received));
  return own.slice(0, declared.length).map((value, index) => {
    const param = declared[index];
    if (!param) return value;
    const isConstructor = call.name === `${call.className}.create` && param.type.endsWith(' record');
    return isConstructor ? readConstructor(call.className, value) : coerce(param, value);
  });
}
