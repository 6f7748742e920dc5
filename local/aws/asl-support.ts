import { LONGEST_TIMER_SECONDS } from './states/definition.ts';
import { type Asl, isObject, isQueueCallback, machinesIn, statesOf, stringsIn } from './states/walk.ts';

const EVERY_STATE = ['Type', 'Comment', 'QueryLanguage'];
const FLOW = [...EVERY_STATE, 'Next', 'End', 'InputPath', 'OutputPath'];
const FAILING = ['ResultPath', 'ResultSelector', 'Retry', 'Catch'];
const knownFields: Record<string, string[]> = {
  Task: [...FLOW, ...FAILING, 'Resource', 'Parameters', 'TimeoutSeconds'],
  Parallel: [...FLOW, ...FAILING, 'Parameters', 'Branches'],
  Map: [
    ...FLOW,
    ...FAILING,
    'Parameters',
    'ItemSelector',
    'ItemsPath',
    'ItemProcessor',
    'Iterator',
    'MaxConcurrency',
    'MaxConcurrencyPath',
  ],
  Pass: [...FLOW, 'Parameters', 'Result', 'ResultPath'],
  Wait: [...FLOW, 'Seconds', 'SecondsPath', 'Timestamp', 'TimestampPath'],
  Choice: [...EVERY_STATE, 'InputPath', 'OutputPath', 'Choices', 'Default'],
  Succeed: [...EVERY_STATE, 'InputPath', 'OutputPath'],
  Fail: [...EVERY_STATE, 'Error', 'ErrorPath', 'Cause', 'CausePath'],
};
const MACHINE_FIELDS = ['Comment', 'StartAt', 'States', 'Version', 'TimeoutSeconds', 'QueryLanguage'];
const INNER_MACHINE_FIELDS = ['Comment', 'StartAt', 'States', 'QueryLanguage', 'ProcessorConfig'];
const RETRIER_FIELDS = [
  'Comment',
  'ErrorEquals',
  'IntervalSeconds',
  'MaxAttempts',
  'BackoffRate',
  'MaxDelaySeconds',
  'JitterStrategy',
];
const CATCHER_FIELDS = ['Comment', 'ErrorEquals', 'Next', 'ResultPath'];

const COMPARISON =
  /^(String|Numeric|Timestamp)(Equals|LessThan|GreaterThan|LessThanEquals|GreaterThanEquals)(Path)?$|^BooleanEquals(Path)?$|^StringMatches$|^Is(Null|Present|Numeric|String|Boolean|Timestamp)$|^(And|Or|Not|Variable|Next|Comment)$/;
const CONTEXT_PATH = /\$\$[\w.[\]'"]*/g;
const KNOWN_CONTEXT = /^\$\$\.(Execution\.(Id|Name|StartTime|RoleArn|Input(\..+)?)|StateMachine\.(Id|Name))$/;
const LAMBDA_RESOURCE = /^(arn:[^:]+:lambda:|\$\{\w+\}$)/;
const RESULT_PATH = /^\$$|^\$(\.[\w-]+)(\.[\w-]+|\[\d+\])*$/;

/**
 * Everything in a document that the local engine would ignore or run otherwise than AWS, one line each; empty when it
 * runs the same here and there. What each rule stands on was read in, or tried with, aws-local-stepfunctions 3.0.0.
 */
export function unsupportedFeatures(definition: Asl): string[] {
  const problems: string[] = [...machineProblems('state machine', definition, MACHINE_FIELDS)];
  const seen = new Set<string>();
  for (const [name, state] of statesOf(definition)) {
    if (seen.has(name)) problems.push(`${name}: two states have this name; handlers are found by it`);
    seen.add(name);
    problems.push(...stateProblems(state).map((problem) => `${name}: ${problem}`));
    for (const inner of machinesIn(state))
      problems.push(...machineProblems(name, inner, INNER_MACHINE_FIELDS));
  }
  return problems;
}

function* machineProblems(name: string, machine: Asl, fields: string[]): Generator<string> {
  for (const field of unknown(machine, fields)) yield `${name}: ${field} is ignored`;
  if (isJsonata(machine)) yield `${name}: QueryLanguage JSONata is ignored`;
  if (isObject(machine.ProcessorConfig) && (machine.ProcessorConfig.Mode ?? 'INLINE') !== 'INLINE')
    yield `${name}: a distributed Map is run as an inline one`;
  yield* timerProblems('TimeoutSeconds', machine.TimeoutSeconds).map((problem) => `${name}: ${problem}`);
}

function stateProblems(state: Asl): string[] {
  const fields = knownFields[String(state.Type)];
  if (!fields) return [`there are no states of type ${String(state.Type)}`];
  return [
    ...unknown(state, fields).map((field) => `${field} is ignored`),
    ...(isJsonata(state) ? ['QueryLanguage JSONata is ignored'] : []),
    ...objects(state.Retry).flatMap((retrier) => handlerProblems('Retry', retrier, RETRIER_FIELDS)),
    ...objects(state.Catch).flatMap((catcher) => handlerProblems('Catch', catcher, CATCHER_FIELDS)),
    ...[state, ...objects(state.Catch)].flatMap(resultPathProblems),
    ...objects(state.Choices).flatMap(choiceProblems),
    ...contextProblems(state),
    ...timerProblems('TimeoutSeconds', state.TimeoutSeconds),
    ...timerProblems('Seconds', state.Seconds),
    ...(state.Type === 'Task' ? resourceProblems(state) : []),
    ...['ErrorPath', 'CausePath']
      .filter((field) => String(state[field] ?? '$').startsWith('States.'))
      .map((field) => `${field} takes a path here, no intrinsic function`),
  ];
}

function handlerProblems(kind: string, handler: Asl, fields: string[]): string[] {
  const names = Array.isArray(handler.ErrorEquals) ? handler.ErrorEquals : [];
  return [
    ...unknown(handler, fields).map((field) => `${field} of a ${kind} is ignored`),
    ...names
      .filter((name) => name === 'States.DataLimitExceeded' || name === 'States.Runtime')
      .map((name) => `${kind} of ${name} never happens here`),
  ];
}

function resultPathProblems({ ResultPath }: Asl): string[] {
  if (ResultPath === undefined || ResultPath === null || RESULT_PATH.test(String(ResultPath))) return [];
  return [`ResultPath ${String(ResultPath)} is not read as a path`];
}

function choiceProblems(rule: Asl): string[] {
  return [
    ...Object.keys(rule)
      .filter((key) => !COMPARISON.test(key))
      .map((key) => `the comparison ${key} is never true`),
    ...[...objects(rule.And), ...objects(rule.Or), rule.Not].filter(isObject).flatMap(choiceProblems),
  ];
}

function contextProblems(state: Asl): string[] {
  const { Branches: _branches, ItemProcessor: _processor, Iterator: _iterator, ...own } = state;
  const paths = [...stringsIn(own)].flatMap((text) => text.match(CONTEXT_PATH) ?? []);
  return paths
    .filter((path) => !KNOWN_CONTEXT.test(path))
    .filter((path) => !(path === '$$.Task.Token' && isQueueCallback(state)))
    .filter((path) => !(state.Type === 'Map' && /^\$\$\.Map\.Item\.(Index|Value)/.test(path)))
    .map((path) => `${path} is not in the context`);
}

function timerProblems(field: string, seconds: unknown): string[] {
  return typeof seconds === 'number' && seconds > LONGEST_TIMER_SECONDS
    ? [`${field} ends after ${LONGEST_TIMER_SECONDS}, the longest timer`]
    : [];
}

function resourceProblems(state: Asl): string[] {
  if (isQueueCallback(state)) {
    const token = [...stringsIn(state.Parameters)].some((text) => text.includes('$$.Task.Token'));
    return token ? [] : ['Parameters do not contain $$.Task.Token, so that nobody can return it'];
  }
  return LAMBDA_RESOURCE.test(String(state.Resource))
    ? []
    : [`Resource ${String(state.Resource)} cannot be called`];
}

function isJsonata(part: Asl): boolean {
  return part.QueryLanguage !== undefined && part.QueryLanguage !== 'JSONPath';
}

function unknown(part: Asl, fields: string[]): string[] {
  return Object.keys(part).filter((field) => !fields.includes(field));
}

function objects(value: unknown): Asl[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
