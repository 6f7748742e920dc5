import { pathOf, type Resource, type Synthesized } from './synth.ts';

/**
 * Left out: what a change of any code changes, what another file holds, what a test of its own looks at, and what only
 * says again which resource it is.
 */
const LEFT_OUT: Readonly<Record<string, readonly string[]>> = {
  'AWS::CloudWatch::Dashboard': ['DashboardBody'],
  'AWS::CloudWatch::Alarm': ['AlarmDescription', 'OKActions'],
  'AWS::IAM::Policy': ['PolicyName', 'Roles'],
  'AWS::IAM::Role': ['Description'],
  'AWS::Lambda::Function': ['Code', 'Description'],
  'AWS::StepFunctions::StateMachine': ['DefinitionString', 'DefinitionSubstitutions'],
};

const MOST_CHARACTERS = 116;

/**
 * A template as text to be read, and compared line by line: by type, each resource once with its properties. Resources
 * that differ in nothing but their names stand together, and `~` is the name of each of them.
 * @param of the types that are wanted; all unless said
 */
export function textOf({ template }: Pick<Synthesized, 'template'>, of = /^/): string {
  const resources = Object.entries(template.Resources);
  const names = new Map(resources.map(([id, resource]) => [id, nameOf(resource)]));
  const types = Map.groupBy(
    resources.map(([, resource]) => resource).filter(({ Type }) => of.test(Type)),
    ({ Type }) => Type,
  );
  return [...types]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([type, all]) => {
      const alike = Map.groupBy(all, (resource) => linesOf(resource, names).join('\n'));
      const blocks = [...alike].map(([lines, group]) => {
        const of = group.map(nameOf).toSorted();
        return { head: `${group.length > 1 ? `${of.length}: ` : ''}${of.join(', ')}`, lines };
      });
      const text = blocks
        .toSorted((a, b) => (a.head < b.head ? -1 : 1))
        .map(({ head, lines }) => `  ${head}\n${lines}`);
      return `${type}\n${text.join('\n')}`.trimEnd();
    })
    .join('\n\n');
}

function nameOf(resource: Resource): string {
  return pathOf(resource).replace(/\/DefaultPolicy$/, '');
}

function linesOf(resource: Resource, names: ReadonlyMap<string, string>): string[] {
  const { Type, Properties = {}, DeletionPolicy } = resource;
  const left = ['Tags', ...(LEFT_OUT[Type] ?? [])];
  const fields = Object.entries(Properties as Record<string, unknown>).filter(
    ([field]) => !left.includes(field),
  );
  // What belongs to one function has its name, whatever comes after it.
  const own = nameOf(resource).replace(/(Role|Log|\/CurrentVersion)$/, '');
  const lines = fields.flatMap(([field, value]) =>
    isPolicy(value)
      ? value.Statement.map((statement) => sentence(statement, names))
      : [`${field}: ${plain(value, names)}`],
  );
  if (DeletionPolicy) lines.push(`on deletion: ${DeletionPolicy}`);
  return packed(lines.map((line) => line.replaceAll(`<${own}`, '<~'))).map((line) => `    ${line}`);
}

/** Short lines one after the other, so many as fit. */
function packed(lines: readonly string[]): string[] {
  const made: string[] = [];
  for (const line of lines) {
    const last = made.at(-1);
    if (last !== undefined && `${last}; ${line}`.length <= MOST_CHARACTERS)
      made[made.length - 1] = `${last}; ${line}`;
    else made.push(line);
  }
  return made;
}

interface Statement {
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource?: unknown;
  readonly Principal?: unknown;
  readonly Condition?: unknown;
}

function isPolicy(value: unknown): value is { readonly Statement: readonly Statement[] } {
  return (
    typeof value === 'object' && value !== null && Array.isArray((value as { Statement?: unknown }).Statement)
  );
}

/** A statement of a policy in a line: who may do what, on what, when. */
function sentence(
  { Effect, Action, Resource, Principal, Condition }: Statement,
  names: ReadonlyMap<string, string>,
): string {
  const listed = (value: unknown) =>
    [value]
      .flat()
      .map((each) => plain(each, names))
      .join(', ');
  return [
    Effect === 'Allow' ? 'may' : `${Effect}:`,
    listed(Action),
    ...(Resource === undefined ? [] : ['on', listed(Resource)]),
    ...(Principal === undefined ? [] : ['by', plain(Principal, names)]),
    ...(Condition === undefined ? [] : ['if', plain(Condition, names)]),
  ].join(' ');
}

/** A value without quotes and commas that nobody needs, and with the names of resources in place of their ids. */
function plain(value: unknown, names: ReadonlyMap<string, string>): string {
  if (Array.isArray(value)) return `[${value.map((each) => plain(each, names)).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  const fields = value as Record<string, unknown>;
  if (typeof fields.Ref === 'string') return `<${names.get(fields.Ref) ?? fields.Ref.replace('AWS::', '')}>`;
  const attribute = fields['Fn::GetAtt'] as readonly string[] | undefined;
  if (attribute) return `<${names.get(attribute[0] ?? '') ?? attribute[0]}.${attribute.slice(1).join('.')}>`;
  const [at, of] = (fields['Fn::Select'] ?? []) as [unknown?, unknown?];
  if (of !== undefined) return `${plain(of, names)}[${plain(at, names)}]`;
  const split = fields['Fn::Split'] as readonly [string, unknown] | undefined;
  if (split) return plain(split[1], names);
  const joined = fields['Fn::Join'] as readonly [string, readonly unknown[]] | undefined;
  if (joined) return joined[1].map((part) => plain(part, names)).join(joined[0]);
  return `{${Object.entries(fields)
    .map(([field, each]) => `${field}: ${plain(each, names)}`)
    .join(', ')}}`;
}
