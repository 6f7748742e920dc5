import { isDeepStrictEqual } from 'node:util';
import { type Asl, stringsIn } from '../../local/aws/states/walk.ts';
import {
  MACHINES,
  type MachineName,
  STEPS,
  type StepName,
  type StepSettings,
} from '../../statemachine/contract.ts';
import { RETRY_OF_AWS, RETRY_OF_BROKEN_OFF, RETRYABLE_ERRORS } from '../../statemachine/retries.ts';
import { edgesOf, entriesFromTasks, objectsIn, reachable, statesIn } from './asl-graph.ts';

/** The steps of a machine by the contract. */
interface Lines {
  readonly steps: readonly string[];
  readonly cleanup: readonly string[];
  readonly firstOfCleanup: string;
  readonly lastOfCleanup: string;
}

function linesOf(machine: MachineName): Lines {
  const { forward, cleanup }: { forward: readonly string[]; cleanup: readonly string[] } = MACHINES[machine];
  return {
    steps: [...forward, ...cleanup],
    cleanup,
    firstOfCleanup: cleanup[0] ?? '',
    lastOfCleanup: cleanup.at(-1) ?? '',
  };
}

const LAMBDA_TASK = /^\$\{(\w+)Arn\}$/;
/** Errors of AWS's own on which a Retry may stand, as Step Functions names them. */
const AWS_ERRORS =
  /^(Lambda\.\w+|Runtime\.(ExitError|OutOfMemory)|States\.(Timeout|TaskFailed)|Sandbox\.Timedout)$/;

/** What the document breaks of the rules by which that state machine is written, a line each. */
export function problemsOf(machine: MachineName, document: Asl, handlerFiles: readonly string[]): string[] {
  const lines = linesOf(machine);
  return [
    ...stepProblems(document, lines, handlerFiles),
    ...statesIn(document).flatMap(([name, state]) =>
      [
        ...(typeof state.Comment === 'string' && state.Comment !== '' ? [] : ['has no Comment']),
        ...(state.Type === 'Task' ? taskProblems(name, state, document, lines) : []),
        ...readProblems(name, state, document),
      ].map((problem) => `${name} ${problem}`),
    ),
    ...flowProblems(document, lines),
  ];
}

/** The steps: the same names, in the same order, as Lambda tasks, in the contract and as files. */
function stepProblems(document: Asl, { steps }: Lines, handlerFiles: readonly string[]): string[] {
  const tasks = lambdaTasksOf(document);
  return [
    ...tasks.filter((name) => !handlerFiles.includes(name)).map((name) => `${name} has no handler file`),
    ...(tasks.join() === steps.join() ? [] : [`the Lambda tasks are ${tasks}, the contract's ${steps}`]),
  ];
}

export function lambdaTasksOf(document: Asl): string[] {
  return statesIn(document)
    .filter(([, { Type, Resource }]) => Type === 'Task' && LAMBDA_TASK.test(String(Resource)))
    .map(([name]) => name);
}

function* taskProblems(name: string, state: Asl, document: Asl, lines: Lines): Generator<string> {
  const step = STEPS[name as StepName];
  const lambda = LAMBDA_TASK.exec(String(state.Resource))?.[1];
  if (lambda !== undefined && lambda !== name) yield `calls the Lambda ${lambda}`;
  if (lambda !== undefined && step) {
    const writes = step.writes === null ? null : `$.${step.writes}`;
    if (state.ResultPath !== writes) yield `writes ${state.ResultPath}, by the contract ${writes}`;
  }
  if (!(Number(state.TimeoutSeconds) > (step?.lambdaSeconds ?? 0)))
    yield 'has no TimeoutSeconds above the time that its Lambda may take';
  if (!(Number(state.TimeoutSeconds) < Number(document.TimeoutSeconds)))
    yield 'may take longer than the whole machine';
  yield* catchProblems(name, state, document, lines);
  if (step) yield* passingProblems(step, objectsIn(state.Retry));
  for (const retrier of objectsIn(state.Retry)) yield* retryProblems(retrier);
}

/** Forward steps fail into the cleanup line's start, which closes the job; cleanup steps go on where they would have. */
function* catchProblems(
  name: string,
  state: Asl,
  document: Asl,
  { cleanup, firstOfCleanup, lastOfCleanup }: Lines,
): Generator<string> {
  const [catcher, ...others] = objectsIn(state.Catch);
  if (!catcher || others.length > 0 || String(catcher.ErrorEquals) !== 'States.ALL') {
    yield 'does not catch States.ALL in one Catch';
    return;
  }
  const cleans = cleanup.includes(name);
  // After the commit a failure is no reason to undo anything: it leads the way that success goes.
  const warns = name === 'RotateBackups';
  const kept = cleans ? '$.cleanupFailure' : warns ? '$.rotationFailure' : '$.failure';
  if (catcher.ResultPath !== kept) yield `notes its failure in ${catcher.ResultPath}, not ${kept}`;
  const forward = cleans || warns ? state.Next : firstOfCleanup;
  const expected = name === lastOfCleanup ? 'JobFailed' : forward;
  if (catcher.Next !== expected) yield `fails into ${catcher.Next}, not ${expected}`;
  const order = statesIn(document).map(([each]) => each);
  if (order.indexOf(String(catcher.Next)) <= order.indexOf(name)) yield 'fails backwards';
}

/** What passes by itself costs no job: of AWS's own failures every step is tried again, of others where it meets them. */
function* passingProblems({ reaches }: StepSettings, retriers: readonly Asl[]): Generator<string> {
  for (const needed of [RETRY_OF_AWS, RETRY_OF_BROKEN_OFF])
    if (!retriers.some((each) => isDeepStrictEqual(each, needed)))
      yield `has no Retry as the contract has it on ${needed.ErrorEquals[0]} and its like`;
  const named = new Set(retriers.flatMap(({ ErrorEquals }) => ErrorEquals as string[]));
  for (const target of reaches)
    for (const error of PASSING_OF[target])
      if (!named.has(error)) yield `is not tried again on ${error}, although it reaches ${target}`;
}

const PASSING_OF = {
  pool: ['PoolUnreachable', 'XapiReplyLost', 'XapiBusy', 'XapiFailure', 'PluginFailure'],
  glance: ['KeystoneUnavailable', 'GlanceUnavailable'],
} as const;

function* retryProblems(retrier: Asl): Generator<string> {
  const errors = Array.isArray(retrier.ErrorEquals) ? retrier.ErrorEquals.map(String) : [];
  if (errors.length === 0) yield 'has a Retry of no error';
  for (const error of errors)
    if (!(RETRYABLE_ERRORS as readonly string[]).includes(error) && !AWS_ERRORS.test(error))
      yield `tries again on ${error}, which no step throws or which no other try mends`;
  const attempts = Number(retrier.MaxAttempts);
  if (!(Number.isInteger(attempts) && attempts > 0 && attempts <= 120)) yield 'has a Retry without a bound';
  if (!(Number(retrier.MaxDelaySeconds) >= Number(retrier.IntervalSeconds)))
    yield 'has a Retry whose delay has no bound';
  if (retrier.JitterStrategy !== 'FULL') yield 'has a Retry without full jitter';
}

/** What a Choice, a Wait or the queue's message reads was written by the step before it, whichever that was. */
function* readProblems(name: string, state: Asl, document: Asl): Generator<string> {
  const { SecondsPath, Choices, Parameters } = state;
  if (state.Type === 'Wait' && !/^\$\.\w+\.waitSeconds$/.test(String(SecondsPath)))
    yield 'waits for other than waitSeconds';
  const paths = [...stringsIn([SecondsPath, Choices, Parameters])].filter((text) => /^\$\.\w/.test(text));
  const entries = entriesFromTasks(document, name);
  for (const path of paths) {
    const root = /^\$\.\w+/.exec(path)?.[0];
    if (root === '$.jobId') continue;
    for (const { from, writes } of entries)
      if (writes !== root) yield `reads ${path}, which ${from} before it does not write`;
    if (entries.length === 0) yield `reads ${path}, which nothing before it writes`;
  }
}

/** No way ends without ReleaseHost, from every state it can be reached, and no state stands there for nothing. */
function* flowProblems(document: Asl, { cleanup, lastOfCleanup }: Lines): Generator<string> {
  const states = statesIn(document);
  const names = states.map(([name]) => name);
  const start = String(document.StartAt);
  const terminal = states.filter(([name]) => !edgesOf(document).some(({ from }) => from === name));
  const unreleased = reachable(document, start, lastOfCleanup);
  for (const [name, { Type }] of terminal) {
    if (unreleased.has(name)) yield `${name} ends the execution without ${lastOfCleanup}`;
    if (Type !== 'Succeed' && Type !== 'Fail') yield `${name} ends without being an end`;
  }
  const released = reachable(document, lastOfCleanup);
  for (const name of names)
    if (!released.has(name) && !reachable(document, name).has(lastOfCleanup))
      yield `${name} never comes to ${lastOfCleanup}`;
  const reached = reachable(document, start);
  for (const name of names) if (!reached.has(name)) yield `${name} is never reached`;
  for (const { from, to } of edgesOf(document))
    if (!names.includes(to)) yield `${from} leads to no state: ${to}`;
  const line = [...cleanup.slice(0, -1)].map((name, index) => [name, cleanup[index + 1]] as const);
  for (const [name, next] of line)
    if (states.find(([each]) => each === name)?.[1].Next !== next) yield `${name} does not go on to ${next}`;
}
