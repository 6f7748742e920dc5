import facts from './datamodel.json' with { type: 'json' };
import { EPOCH, NULL_REF, type Value } from './value.ts';

/** A parameter of a call, without the session. */
export interface Param {
  readonly name: string;
  readonly type: string;
  readonly optional: boolean;
}

/** What the dispatcher must know of a call. */
export interface Call {
  readonly name: string;
  readonly className: string;
  readonly params: readonly Param[];
  readonly needsSession: boolean;
  readonly hasAsync: boolean;
  /** Type of what it answers. */
  readonly result: string;
  /** The field that a generated call reads or writes. */
  readonly field?: string;
}

interface ClassFacts {
  readonly fields: Record<string, string>;
  readonly writable: string[];
  readonly calls: Record<string, string>;
}

const classes: Record<string, ClassFacts> = facts;

export const classNames = Object.keys(classes);

/** Fields of a class in xapi's order, with their types (`int`, `VM ref`, `(string -> string) map`, …). */
export function fieldsOf(className: string): Record<string, string> {
  return classes[className]?.fields ?? {};
}

/** The value of a field that nobody set. */
export function emptyValue(type: string): Value {
  if (type.endsWith(' set')) return [];
  if (type.endsWith(' map')) return {};
  if (type.endsWith(' ref')) return NULL_REF;
  if (type === 'int') return '0';
  if (type === 'bool') return false;
  if (type === 'float') return 0;
  return type === 'datetime' ? EPOCH : '';
}

// gen_client.ml and datamodel.ml: field messages and queries have no asynchronous form, nor have whole classes.
const NEVER_ASYNC_CLASSES = new Set(['session', 'event']);
const NEVER_ASYNC = /^(get_|add_to_|remove_from_)|^set_(other_config|platform|blocked_operations|NVRAM)$/;

const FIELD_VERB = /^(get|set|add_to|remove_from|add|remove)_/;

function parseCall(className: string, name: string, signature: string): Call {
  const needsSession = !signature.startsWith('(no session) ');
  const result = signature.slice(signature.lastIndexOf(') -> ') + 5);
  const list = /^(?:\(no session\) )?\((.*)\) -> /.exec(signature)?.[1] ?? '';
  return {
    name: `${className}.${name}`,
    className,
    needsSession,
    result,
    hasAsync:
      className === 'task'
        ? name === 'cancel'
        : !NEVER_ASYNC_CLASSES.has(className) && !NEVER_ASYNC.test(name),
    params: list === '' ? [] : list.split(', ').map(parseParam),
  };
}

function parseParam(text: string): Param {
  const [name = '', type = ''] = text.split(': ');
  return { name: name.replace('?', ''), type, optional: name.endsWith('?') };
}

function fieldCalls(className: string, facts: ClassFacts): Record<string, string> {
  const calls: Record<string, string> = {};
  const self = `self: ${className} ref`;
  for (const [field, type] of Object.entries(facts.fields)) {
    calls[`get_${field}`] = `(${self}) -> ${type}`;
    if (!facts.writable.includes(field)) continue;
    calls[`set_${field}`] = `(${self}, value: ${type}) -> void`;
    if (type.endsWith(' map')) {
      calls[`add_to_${field}`] = `(${self}, key: string, value: string) -> void`;
      calls[`remove_from_${field}`] = `(${self}, key: string) -> void`;
    } else if (type.endsWith(' set')) {
      calls[`add_${field}`] = `(${self}, value: string) -> void`;
      calls[`remove_${field}`] = `(${self}, value: string) -> void`;
    }
  }
  return calls;
}

/** Every call of the modelled classes by name, in xapi's spelling. */
export const calls: ReadonlyMap<string, Call> = new Map(
  Object.entries(classes).flatMap(([className, facts]) => {
    const generated = Object.entries(fieldCalls(className, facts)).map(([name, signature]) => {
      const call = parseCall(className, name, signature);
      const field = name.replace(FIELD_VERB, '');
      return [call.name, { ...call, hasAsync: false, field }] as const;
    });
    const own = Object.entries(facts.calls).map(([name, signature]) => {
      const call = parseCall(className, name, signature);
      const field = name.replace(FIELD_VERB, '');
      return [call.name, field in facts.fields ? { ...call, field } : call] as const;
    });
    return [...generated, ...own];
  }),
);

/** The type of what a call answers by its name on the wire: of an asynchronous one, a task. */
export function resultType(method: string): string {
  return method.startsWith('Async.') ? 'task ref' : (calls.get(method)?.result ?? '');
}

/** What a map holds, by its type, `(from -> to) map`; undefined for another type. */
export function valueTypeOf(type: string): string | undefined {
  if (!type.startsWith('(') || !type.endsWith(') map')) return undefined;
  const arrow = type.lastIndexOf(' -> ');
  return arrow < 0 ? undefined : type.slice(arrow + ' -> '.length, -') map'.length);
}
