import type { MachineName } from '../statemachine/contract.ts';
import restore from '../statemachine/restore.asl.json' with { type: 'json' };
import snapshot from '../statemachine/snapshot.asl.json' with { type: 'json' };

/** A state of the document, as far as it is read here. */
export interface State {
  readonly Type: 'Task' | 'Choice' | 'Wait' | 'Succeed' | 'Fail';
  readonly Resource?: string;
  readonly ResultPath?: string | null;
  readonly SecondsPath?: string;
  readonly Next?: string;
  readonly Default?: string;
  readonly Choices?: readonly Rule[];
  readonly Retry?: readonly RetryRule[];
  readonly Catch?: readonly { readonly ResultPath: string; readonly Next: string }[];
}

/** Which errors a task is tried again after, how often, and how long after (with full jitter: at the latest). */
export interface RetryRule {
  readonly ErrorEquals: readonly string[];
  readonly IntervalSeconds: number;
  readonly BackoffRate: number;
  readonly MaxAttempts: number;
  readonly MaxDelaySeconds: number;
}

/** The two comparisons that the document uses; another is an error. */
interface Rule {
  readonly Variable: string;
  readonly StringEquals?: string;
  readonly BooleanEquals?: boolean;
  readonly Next: string;
}

export type Data = Record<string, unknown>;

/** A document, as far as it is read here. */
interface Document {
  readonly StartAt: string;
  readonly States: Readonly<Record<string, unknown>>;
}

const DOCUMENTS: Readonly<Record<MachineName, Document>> = { snapshot, restore };

/** The state that a machine begins with. */
export function startOf(machine: MachineName): string {
  return DOCUMENTS[machine].StartAt;
}

export function stateOf(machine: MachineName, name: string): State {
  const state = DOCUMENTS[machine].States[name];
  if (state) return state as State;
  throw new Error(`The state machine "${machine}" has no state ${name}.`);
}

/** The state that a Choice leads to. */
export function choose({ Choices = [], Default }: State, data: Data): string {
  const rule = Choices.find((each) => holds(each, valueAt(each.Variable, data)));
  const next = rule?.Next ?? Default;
  if (next !== undefined) return next;
  throw new Error('No rule of the Choice holds, and it has no Default.');
}

function holds({ StringEquals, BooleanEquals }: Rule, value: unknown): boolean {
  if (StringEquals !== undefined) return value === StringEquals;
  if (BooleanEquals !== undefined) return value === BooleanEquals;
  throw new Error('A Choice compares in a way that is not known here.');
}

/** What stands at a path of names, such as `$.upload.waitSeconds`. */
export function valueAt(path: string, data: Data): unknown {
  return path
    .split('.')
    .slice(1)
    .reduce<unknown>((value, key) => (value as Data | undefined)?.[key], data);
}

/** The data with a task's result where its ResultPath says. */
export function withResult(data: Data, path: string | null | undefined, result: unknown): Data {
  const key = path?.match(/^\$\.(\w+)$/)?.[1];
  return key === undefined ? data : { ...data, [key]: result };
}
