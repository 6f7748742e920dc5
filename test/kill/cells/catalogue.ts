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
  readonly of?: (call: Described) => boolean;
}

/** What of a call decides which trouble it can meet. */
export type Described = Pick<Call, 'to' | 'name' | 'state' | 'nth'> & {
  readonly isOnHandle: boolean;
  /** Whether the job is undone anyway: these calls meet what is different for them. */
  readonly isUndoing: boolean;
};

const fixed = (fault: Fault): Pick<Trouble, 'fault'> => ({ fault: () => fault });
const isSession = ({ name }: Described) => name.startsWith('session.');
const isLogout = ({ name }: Described) => name === 'session.logout';
/** Of two troubles that are one to the caller, the second is for calls that do something. */
const acts = ({ to, name }: Described) => {
  if (to === 'xapi') return !/\.get_|^session\.log/.test(name);
  if (to === 'glance') return !name.startsWith('GET') && !name.startsWith('PUT');
  return /^(PutItem|UpdateItem|DeleteItem|StartExecution|SendMessage|SendTaskSuccess|DeleteMessage)$/.test(
    name,
  );
};
const isForward = (call: Described) => !call.isUndoing;
const isForwardAct = (call: Described) => acts(call) && !call.isUndoing;
const isFirst = (call: Described) => call.nth === 1 && !call.isUndoing;
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
  garbage: { ...CONNECTION.garbage, of: (call) => isForward(call) && !isLogout(call) },
  reset: { ...CONNECTION.reset, of: isForward },
  'lost-reply': { ...CONNECTION['lost-reply'], of: (call) => !isLogout(call) },
  truncated: { ...CONNECTION.truncated, of: isForwardAct },
  'http-500': {
    ...fixed({ kind: 'status', status: 500 }),
    ...{ lasting: 'passes', of: (call) => isForward(call) && !isSession(call) },
  },
  late: {
    fault: ({ name }, speed) => ({ kind: 'late', seconds: ((SLOW.test(name) ? 60 : 24) + 4) / speed }),
    ...{ lasting: 'passes', of: isForwardAct },
  },
  never: { ...fixed({ kind: 'never' }), lasting: 'passes', of: isForward },
  INTERNAL_ERROR: { ...xapi('INTERNAL_ERROR', 'Unix.Unix_error(Unix.ECONNRESET)'), lasting: 'passes' },
  HOST_OFFLINE: { ...xapi('HOST_OFFLINE', REF), lasting: 'passes', of: acts },
  OTHER_OPERATION_IN_PROGRESS: {
    ...xapi('OTHER_OPERATION_IN_PROGRESS', 'VM', REF),
    lasting: 'passes',
    of: isForwardAct,
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
    of: ({ name }) => SLOW.test(name),
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
    of: (call) => isForward(call) && !isSession(call),
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
    of: (call) => !isSession(call),
  },
};

/** Calls that end only once an SR's driver has done its work. */
const SLOW = /^(Async\.)?(SR\.scan|VDI\.destroy|VM\.destroy|VM\.snapshot)$/;

const status = (code: number, lasting: Trouble['lasting']): Trouble => ({
  ...fixed({ kind: 'status', status: code }),
  lasting,
});

const GLANCE: Record<string, Trouble> = {
  ...CONNECTION,
  'http-500': status(500, 'passes'),
  'http-503': status(503, 'passes'),
  'http-401': status(401, 'stays'),
  'http-403': status(403, 'stays'),
  'http-404': status(404, 'stays'),
  'http-409': status(409, 'stays'),
  // The client waits for 30 s, and a step's Lambda for 60, which pass faster here.
  late: {
    fault: ({ state }, speed) => ({ kind: 'late', seconds: state === 'request' ? 32 : 70 / speed }),
    lasting: 'passes',
  },
  never: { ...fixed({ kind: 'never' }), lasting: 'passes' },
};

const { 'http-409': _, ...WITHOUT_CONFLICT } = GLANCE;

/** Where Lambda ends what AWS does not answer. */
const isOfStep = ({ state }: Described) => /^[A-Z]/.test(state) && state !== 'QueueForHost';

const AWS: Record<string, Trouble> = {
  error: {
    ...fixed({ kind: 'error', code: 'InternalServerError', status: 500 }),
    ...{ lasting: 'passes', pastSdk: true },
  },
  throttled: {
    ...fixed({ kind: 'error', code: 'ThrottlingException', status: 400 }),
    ...{ lasting: 'passes', pastSdk: true, of: isFirst },
  },
  reset: { ...CONNECTION.reset, pastSdk: true, of: isFirst },
  'lost-reply': { ...CONNECTION['lost-reply'], of: acts },
  'lost-replies': { ...CONNECTION['lost-reply'], pastSdk: true, of: acts },
  truncated: { ...CONNECTION.truncated, of: (call) => isFirst(call) && acts(call) },
  never: { ...fixed({ kind: 'never' }), lasting: 'passes', of: (call) => isFirst(call) && isOfStep(call) },
};

/** The service is killed when the call has had its effect, and started again. */
const KILLED: Record<string, Trouble> = {
  killed: { ...fixed({ kind: 'lost-reply' }), lasting: 'passes', of: acts },
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
  keystone: WITHOUT_CONFLICT,
  dynamodb: { ...AWS, ...ZOMBIE, ...KILLED },
  sqs: { ...AWS, ...KILLED },
  states: { ...AWS, ...KILLED },
  secrets: AWS,
};
