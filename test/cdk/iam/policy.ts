/** A statement of a policy, with everything in it resolved. */
export interface Statement {
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Principal?: '*' | Readonly<Record<string, string | readonly string[]>>;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
  readonly Sid?: string;
}

/** What somebody wants to do, and what AWS knows of it that a condition may ask for. */
export interface Wish {
  readonly action: string;
  readonly resource: string;
  /** The ARN of a role, or a service such as `events.amazonaws.com`. */
  readonly principal: string;
  readonly context: Readonly<Record<string, string>>;
}

/** Something in a policy that this evaluator does not know: it would only be guessed at. */
export class UnknownInPolicyError extends Error {
  override readonly name = 'UnknownInPolicyError';
}

const KNOWN = ['Effect', 'Action', 'Resource', 'Principal', 'Condition', 'Sid'];
const CONTEXT = ['aws:SourceAccount', 'aws:SourceArn', 'aws:PrincipalAccount', 'aws:SecureTransport'];

/** Whether a statement is about a wish, whatever it then says. @throws UnknownInPolicyError */
export function isAbout(statement: Statement, wish: Wish): boolean {
  const unknown = Object.keys(statement).find((element) => !KNOWN.includes(element));
  if (unknown !== undefined) throw new UnknownInPolicyError(`the element ${unknown}`);
  return (
    // All of it, so that what is unknown in the last part is found, whatever the first one says.
    [
      list(statement.Action).some((action) => isLike(action.toLowerCase(), wish.action.toLowerCase())),
      list(statement.Resource).some((resource) => isArnLike(resource, wish.resource)),
      statement.Principal === undefined || isOf(statement.Principal, wish.principal),
      Object.entries(statement.Condition ?? {}).every(([operator, keys]) =>
        Object.entries(keys).every(([key, values]) => holds(operator, key, values, wish.context)),
      ),
    ].every(Boolean)
  );
}

/** What policies of one kind say of a wish: the first statement that denies it, else whether one allows it. */
export function decide(statements: readonly Statement[], wish: Wish): 'allowed' | 'denied' | 'not allowed' {
  const about = statements.filter((statement) => isAbout(statement, wish));
  const effects = new Set(about.map(({ Effect }) => Effect));
  for (const effect of effects)
    if (effect !== 'Allow' && effect !== 'Deny') throw new UnknownInPolicyError(`the effect ${effect}`);
  if (effects.has('Deny')) return 'denied';
  return effects.has('Allow') ? 'allowed' : 'not allowed';
}

function isOf(principals: NonNullable<Statement['Principal']>, who: string): boolean {
  if (principals === '*') return true;
  return Object.entries(principals).some(([kind, names]) => {
    if (kind !== 'AWS' && kind !== 'Service') throw new UnknownInPolicyError(`a principal ${kind}`);
    return list(names).some((name) => (kind === 'AWS' && name === '*') || name === who);
  });
}

function holds(
  operator: string,
  key: string,
  wanted: string | readonly string[],
  context: Wish['context'],
): boolean {
  if (!CONTEXT.includes(key)) throw new UnknownInPolicyError(`the condition key ${key}`);
  const compare = OPERATORS[operator];
  if (!compare) throw new UnknownInPolicyError(`the condition operator ${operator}`);
  const is = context[key];
  // A key that a request does not have fails a condition on it.
  return is !== undefined && list(wanted).some((value) => compare(value, is));
}

const OPERATORS: Readonly<Record<string, (wanted: string, is: string) => boolean>> = {
  StringEquals: (wanted, is) => wanted === is,
  Bool: (wanted, is) => wanted.toLowerCase() === is.toLowerCase(),
  ArnLike: isArnLike,
  // AWS says of it that it does what ArnLike does.
  ArnEquals: isArnLike,
};

/** Compared part by part: a wildcard takes no colon, but in the last part, which may have some. */
export function isArnLike(pattern: string, arn: string): boolean {
  if (pattern.includes('${')) throw new UnknownInPolicyError(`a policy variable in ${pattern}`);
  if (pattern === '*') return true;
  const [patterns, parts] = [partsOf(pattern), partsOf(arn)];
  return (
    patterns.length === parts.length && patterns.every((part, index) => isLike(part, parts[index] ?? ''))
  );
}

function partsOf(arn: string): string[] {
  const parts = arn.split(':');
  return [...parts.slice(0, 5), parts.slice(5).join(':')];
}

/** `*` is any characters, `?` is one. */
export function isLike(pattern: string, text: string): boolean {
  let [at, from, star, resume] = [0, 0, -1, 0];
  while (from < text.length) {
    if (pattern[at] === '*') {
      [star, resume] = [at, from];
      at += 1;
    } else if (pattern[at] === '?' || pattern[at] === text[from]) {
      at += 1;
      from += 1;
    } else if (star >= 0) {
      at = star + 1;
      resume += 1;
      from = resume;
    } else return false;
  }
  return [...pattern.slice(at)].every((left) => left === '*');
}

function list(one: string | readonly string[]): readonly string[] {
  return typeof one === 'string' ? [one] : one;
}
