type Item = Readonly<Record<string, unknown>>;
type Values = Readonly<Record<string, unknown>>;
type Condition = (item: Item, values: Values) => boolean;

const known = new Map<string, Condition>();

/**
 * The condition expressions that the store uses: `attribute_exists`, `attribute_not_exists`, `size(a) < :v`,
 * `contains(a, :v)` of a set or a list, `#a = :v`, `#a < :v`, `AND`, `OR`, `NOT`, brackets. Throws an error at anything else.
 * @param values by placeholder, without the colon
 */
export function holds(expression: string, item: Item, values: Values): boolean {
  const condition = known.get(expression) ?? compile(expression);
  known.set(expression, condition);
  return condition(item, values);
}

function members(value: unknown): Iterable<unknown> {
  return value instanceof Set || Array.isArray(value) ? value : [];
}

function compile(expression: string): Condition {
  const tokens = expression.match(/[:#]?\w+|[<>=]+|\S/g) ?? [];
  let at = 0;
  const next = (): string => tokens[at++] ?? '';
  const expect = (token: string): void => {
    const found = next();
    if (found !== token) throw new Error(`"${expression}": ${token} expected, not "${found}"`);
  };
  const attribute = (): string => next().replace(/^#/, '');
  const value = (): string => {
    const token = next();
    if (!token.startsWith(':')) throw new Error(`"${expression}": "${token}" is no value`);
    return token.slice(1);
  };

  function either(): Condition {
    const parts = [both()];
    while (tokens[at] === 'OR') {
      at++;
      parts.push(both());
    }
    return (item, values) => parts.some((part) => part(item, values));
  }

  function both(): Condition {
    const parts = [single()];
    while (tokens[at] === 'AND') {
      at++;
      parts.push(single());
    }
    return (item, values) => parts.every((part) => part(item, values));
  }

  function single(): Condition {
    const token = next();
    if (token === '(') {
      const inner = either();
      expect(')');
      return inner;
    }
    if (token === 'NOT') {
      const inner = single();
      return (item, values) => !inner(item, values);
    }
    if (token === 'attribute_exists' || token === 'attribute_not_exists') {
      const [name, wanted] = [argument(), token === 'attribute_exists'];
      return (item) => (item[name] !== undefined) === wanted;
    }
    if (token === 'size') {
      const name = argument();
      expect('<');
      const most = value();
      return (item, values) => item[name] instanceof Set && item[name].size < Number(values[most]);
    }
    if (token === 'contains') {
      expect('(');
      const name = attribute();
      expect(',');
      const member = value();
      expect(')');
      return (item, values) => [...members(item[name])].includes(values[member]);
    }
    if (!token.startsWith('#')) throw new Error(`"${expression}": "${token}" is not known`);
    return comparison(token.slice(1));
  }

  function argument(): string {
    expect('(');
    const name = attribute();
    expect(')');
    return name;
  }

  function comparison(name: string): Condition {
    const operator = next();
    const other = value();
    if (operator === '=') return (item, values) => item[name] === values[other];
    if (operator !== '<') throw new Error(`"${expression}": "${operator}" is not known`);
    // What is absent, or of another type, is neither less nor more.
    return (item, values) => typeof item[name] === typeof values[other] && isLess(item[name], values[other]);
  }

  const condition = either();
  if (at < tokens.length) throw new Error(`"${expression}": "${tokens[at]}" is too much`);
  return condition;
}

function isLess(a: unknown, b: unknown): boolean {
  return (a as string | number) < (b as string | number);
}
