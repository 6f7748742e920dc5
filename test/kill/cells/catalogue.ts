import type { Call } from '../wire/call.ts';
import type { Fault, Target } from '../wire/faults.ts';

/** A kind of trouble that a call may meet. */
export interface Trouble {
  /** What becomes of the call. `limitSpeed` is how much faster than real time its limits pass. */
  fault(call: Call, limitSpeed: number): Fault;
  /** Whether it passes by itself: then it costs no job. */
  readonly lasting: 'passes' | 'stays';
  /** AWS's SDK tries by itself: whether all of its tries fail. */
  readonly pastSdk?: boolean;
  /** To which calls it applies; to all, if left out. */
  readonly of?: (call: Struck) => boolean;
}

/** What of a call decides which trouble it can meet. */
export type Described = Pick<Call, 'to' | 'name' | 'state' | 'nth'> & {
  readonly isOnHandle: boolean;
  /** Whether the job is undone anyway: these calls meet what is different for them. */
  readonly isUndoing: boolean;
};

/** The same, and which calls of its state are struck beside it. */
export type Struck = Described & {
  /** Of the calls in its state that read, and that are made to the same, it is the first that is struck. */
  readonly isFirstRead: boolean;
  /** Every step, whatever it does, makes this call in the same way: it is struck in one state for all. */
  readonly isShared: boolean;
};

const fixed = (fault: Fault): Pick<Trouble, 'fault'> => ({ fault: () => fault });
const isSession = ({ name }: Described) => name.startsWith('session.');
const isLogout = ({ name }: Described) => name === 'session.logout';

/** Whether a call does something, beyond answering. That the plugin is asked how it stands does nothing. */
export function acts({ to, name }: Pick<Described, 'to' | 'name'>): boolean {
  if (to === 'xapi') return !/\.get_|^session\.log|:(version|status|leftovers)$/.test(name);
  // The data itself is more than a record that is read again.
  if (to === 'glance') return !name.startsWith('GET') || name.endsWith('/file');
  return /^(PutItem|UpdateItem|DeleteItem|StartExecution|SendMessage|SendTaskSuccess|DeleteMessage)$/.test(
    name,
  );
}

/** Whether a call sets a field, a key or a tag, which it may do again. */
export function isSetter({ name }: Pick<Described, 'name'>): boolean {
  return /\.(set|add_to|remove_from)_/.test(name);
}

// Which cells there are not, since they would show the same as another:
// - xapi/session.ts asks again what only reads, whichever way its answer was lost, and takes a new session where the old
//   one is invalid: once in each state is enough. Of a refusal of what reads, every class of records has one.
// - To whoever acts, an answer that cannot be read is one that was lost. Both stay for what would make something twice;
//   a field or a tag is set again without harm, whichever way it was not heard that it is.
// - Of the codes that say "not now", which functions/translate.ts makes one of, a call gets one that it really may. That
//   a host is away is asked for where a plugin is called.
// - Which handle is invalid decides only where something is to be gone; what reads on the way to the image does not care.
// - functions/store/table.ts finds a write again whose first reply was lost, of whatever state it is, and its own test
//   knows every one: that is shown once a machine. That all replies are lost, so that the state is tried again, is not
//   the same in any two states.
// - What AWS's SDK tries itself, the login, the logout, the secrets and the token of Keystone are the business of the
//   wrapper around every step: in one state a machine, and where something else than a step is at work.
const isOfPlugin = ({ name }: Described) => /host\.call_plugin/.test(name);
const isForward = (call: Described) => !call.isUndoing;
const isForwardAct = (call: Described) => acts(call) && !call.isUndoing;
/** What makes or takes away something, and would do so again. */
const isOnce = (call: Described) => isForwardAct(call) && !isSetter(call);
const isSessionOrOnce = (call: Described) => isForward(call) && (isSession(call) || isOnce(call));
/** What acts, and of what reads the first in its state. */
const oncePerState = (call: Struck) => isForward(call) && (isSession(call) || acts(call) || call.isFirstRead);
const isSharedOrNoStep = (call: Struck) =>
  isForward(call) && (call.isShared || (call.isFirstRead && !isOfStep(call)));

const xapi = (code: string, ...params: string[]) => fixed({ kind: 'error', code, params });

/** Of the connection, whatever is spoken on it. */
const CONNECTION = {
  garbage: { ...fixed({ kind: 'garbage' }), lasting: 'passes' },
  reset: { ...fixed({ kind: 'reset' }), lasting: 'passes' },
  'lost-reply': { ...fixed({ kind: 'lost-reply' }), lasting: 'passes' },
  truncated: { ...fixed({ kind: 'truncated' }), lasting: 'passes' },
} as const satisfies Record<string, Trouble>;

const REF = 'OpaqueRef:00000000-0000-0000-0000-000000000000';
const refOf = (call: Call) => String(call.args[0]);
const classOf = ({ name }: Pick<Call, 'name'>) => name.replace(/^Async\./, '').split('.')[0] ?? '';

const XAPI: Record<string, Trouble> = {
  garbage: { ...CONNECTION.garbage, of: (call) => isSessionOrOnce(call) && !isLogout(call) },
  reset: { ...CONNECTION.reset, of: oncePerState },
  'lost-reply': {
    ...CONNECTION['lost-reply'],
    of: (call) => acts(call) || call.name === 'session.login_with_password',
  },
  truncated: { ...CONNECTION.truncated, of: isOnce },
  'http-500': { ...fixed({ kind: 'status', status: 500 }), lasting: 'passes', of: isOnce },
  late: {
    fault: ({ name }, speed) => ({ kind: 'late', seconds: ((SLOW.test(name) ? 60 : 24) + 4) / speed }),
    ...{ lasting: 'passes', of: isOnce },
  },
  never: { ...fixed({ kind: 'never' }), lasting: 'passes', of: oncePerState },
  INTERNAL_ERROR: { ...xapi('INTERNAL_ERROR', 'Unix.Unix_error(Unix.ECONNRESET)'), lasting: 'passes' },
  HOST_OFFLINE: {
    ...xapi('HOST_OFFLINE', REF),
    ...{ lasting: 'passes', of: isOfPlugin },
  },
  OTHER_OPERATION_IN_PROGRESS: {
    ...xapi('OTHER_OPERATION_IN_PROGRESS', 'VM', REF),
    lasting: 'passes',
    of: (call) => acts(call) && !isOfPlugin(call) && !SLOW.test(call.name),
  },
  SR_BACKEND_FAILURE_46: {
    ...xapi('SR_BACKEND_FAILURE_46', '', 'The VDI is not available [opterr=busy]', ''),
    lasting: 'passes',
    of: ({ name }) => SLOW.test(name),
  },
  SR_BACKEND_FAILURE_44: {
    ...xapi('SR_BACKEND_FAILURE_44', '', 'There is insufficient space', ''),
    lasting: 'stays',
    of: ({ name }) => SLOW.test(name),
  },
  SR_BACKEND_FAILURE_109: {
    ...xapi('SR_BACKEND_FAILURE_109', '', 'The snapshot chain is too long', ''),
    lasting: 'stays',
    of: ({ name }) => name.endsWith('VM.snapshot'),
  },
  RBAC_PERMISSION_DENIED: {
    ...xapi('RBAC_PERMISSION_DENIED', 'planted', 'No permission'),
    lasting: 'stays',
    of: isForwardAct,
  },
  SESSION_AUTHENTICATION_FAILED: {
    ...xapi('SESSION_AUTHENTICATION_FAILED', 'root', 'Authentication failure'),
    lasting: 'stays',
    of: ({ name }) => name === 'session.login_with_password',
  },
  SESSION_INVALID: {
    ...xapi('SESSION_INVALID', REF),
    lasting: 'passes',
    of: (call) => isForward(call) && call.isFirstRead && !isSession(call),
  },
  'HANDLE_INVALID-own': {
    fault: (call) => ({
      ...{ kind: 'error', code: 'HANDLE_INVALID' },
      params: [classOf(call), refOf(call)],
    }),
    lasting: 'passes',
    of: ({ isOnHandle }) => isOnHandle,
  },
  'HANDLE_INVALID-other': {
    fault: ({ name }) => ({
      ...{ kind: 'error', code: 'HANDLE_INVALID' },
      params: [name.startsWith('VBD.') ? 'PBD' : 'VBD', REF],
    }),
    lasting: 'passes',
    of: (call) => acts(call) || (call.isUndoing && !isSession(call)),
  },
};

/** Calls that end only once an SR's driver has done its work. */
const SLOW = /^(Async\.)?(SR\.scan|VDI\.destroy|VM\.destroy|VM\.snapshot)$/;

const status = (code: number, lasting: Trouble['lasting']): Trouble => ({
  ...fixed({ kind: 'status', status: code }),
  lasting,
});

const GLANCE: Record<string, Trouble> = {
  garbage: CONNECTION.garbage,
  reset: CONNECTION.reset,
  'lost-reply': { ...CONNECTION['lost-reply'], of: acts },
  truncated: { ...CONNECTION.truncated, of: acts },
  'http-500': { ...status(500, 'passes'), of: acts },
  'http-503': status(503, 'passes'),
  'http-401': status(401, 'stays'),
  'http-403': status(403, 'stays'),
  'http-404': status(404, 'stays'),
  'http-409': { ...status(409, 'stays'), of: acts },
  // The client waits for 30 s, and a step's Lambda for 60, which pass faster here.
  late: {
    fault: ({ state }, speed) => ({ kind: 'late', seconds: state === 'request' ? 32 : 70 / speed }),
    ...{ lasting: 'passes', of: acts },
  },
  never: { ...fixed({ kind: 'never' }), lasting: 'passes' },
};

/** Of Keystone nothing but a token is asked for: what is one to the caller is one here. */
const KEYSTONE: Record<string, Trouble> = {
  garbage: CONNECTION.garbage,
  reset: CONNECTION.reset,
  'http-503': status(503, 'passes'),
  'http-401': status(401, 'stays'),
  'http-404': status(404, 'stays'),
  never: { ...fixed({ kind: 'never' }), lasting: 'passes' },
};

/** Where Lambda ends what AWS does not answer. */
const isOfStep = ({ state }: Described) => /^[A-Z]/.test(state) && state !== 'QueueForHost';

const AWS: Record<string, Trouble> = {
  error: {
    ...fixed({ kind: 'error', code: 'InternalServerError', status: 500 }),
    ...{ lasting: 'passes', pastSdk: true },
  },
  throttled: {
    ...fixed({ kind: 'error', code: 'ThrottlingException', status: 400 }),
    ...{ lasting: 'passes', pastSdk: true, of: isSharedOrNoStep },
  },
  reset: { ...CONNECTION.reset, pastSdk: true, of: isSharedOrNoStep },
  'lost-reply': { ...CONNECTION['lost-reply'], of: (call) => acts(call) && isSdkShown(call) },
  'lost-replies': { ...CONNECTION['lost-reply'], pastSdk: true, of: acts },
  truncated: { ...CONNECTION.truncated, of: (call) => isForwardAct(call) && isSdkShown(call) },
  never: {
    ...fixed({ kind: 'never' }),
    ...{ lasting: 'passes', of: (call) => isSharedOrNoStep(call) && isOfStep(call) },
  },
};

/** Whether a call shows what the SDK's own tries make of a lost reply: to the table once for all states. */
const isSdkShown = (call: Struck) => call.to !== 'dynamodb' || call.isShared || call.state === 'request';

/** The service is killed when the call has had its effect, and started again. */
const KILLED: Record<string, Trouble> = {
  killed: {
    ...fixed({ kind: 'lost-reply' }),
    // What the plugin does outlives the service: of that, each event at the state shows it.
    ...{ lasting: 'passes', of: (call) => acts(call) && call.state !== 'plugin' },
  },
};

/** A write that is held until its state was begun again, and then done. */
const ZOMBIE: Record<string, Trouble> = {
  zombie: {
    fault: () => ({ kind: 'hold', until: Promise.resolve() }),
    lasting: 'passes',
    of: (call) => isForward(call) && isOfStep(call) && call.name === 'UpdateItem',
  },
};

export const CATALOGUE: Readonly<Record<Target, Readonly<Record<string, Trouble>>>> = {
  xapi: { ...XAPI, ...KILLED },
  glance: { ...GLANCE, ...KILLED },
  keystone: KEYSTONE,
  dynamodb: { ...AWS, ...ZOMBIE, ...KILLED },
  sqs: { ...AWS, ...KILLED },
  states: { ...AWS, ...KILLED },
  secrets: AWS,
};
