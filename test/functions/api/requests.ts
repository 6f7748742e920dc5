import fc from 'fast-check';
import type { Schema } from '../../../functions/api/docs/schema.ts';

export interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema?: Schema }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema?: Schema }>> };
  readonly responses: Readonly<Record<string, unknown>>;
}

export interface ApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/** A request, and the operation whose documented answers it must have. */
export interface Requested {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly template: string;
  readonly operation: Operation;
}

const HOSTILE = [
  '',
  ' ',
  '0',
  '-1',
  '1e309',
  'null',
  'undefined',
  '__proto__',
  'constructor',
  'toString',
  "' OR 1=1 --",
  '"><script>alert(1)</script>',
  '../../../../etc/passwd',
  '%00',
  '\u0000',
  '\ud800',
  '\u2028',
  '{%7*7%}',
  '{{7*7}}',
  '$(id)',
  '(a+)+$',
  '[',
  '*',
  `${'*'.repeat(200)}!`,
  `${'a*'.repeat(16)}b`,
  `*${'ab'.repeat(120)}*`,
  'field "name_label" = "x"',
  'OpaqueRef:NULL',
  'x'.repeat(255),
  'x'.repeat(5000),
];

/** Requests of every operation: as the document has them, nearly so, and not at all. `known` are ids and names that exist. */
export function requestsOf(document: ApiDocument, known: readonly string[]): fc.Arbitrary<Requested> {
  const text = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...known) },
    { weight: 3, arbitrary: fc.constantFrom(...HOSTILE) },
    { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }) },
    { weight: 1, arbitrary: fc.string({ maxLength: 300 }) },
  );
  const anything = fc.oneof(fc.jsonValue(), text, fc.constant(null), fc.integer(), fc.boolean());
  const bySchema = arbitraries(document, text, anything);
  const operations = Object.entries(document.paths).flatMap(([template, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      template,
      method: method.toUpperCase(),
      operation,
    })),
  );
  return fc.oneof(
    ...operations.map(({ template, method, operation }) => {
      const { parameters = [], requestBody } = operation;
      const schema = Object.values(requestBody?.content ?? {})[0]?.schema;
      const query = parameters.filter((each) => each.in === 'query');
      return fc
        .record({
          segments: fc.array(text, { minLength: 2, maxLength: 2 }),
          query: fc.array(
            fc.oneof(
              ...query.map(({ name, schema = {} }) =>
                fc.tuple(fc.constant(name), fc.oneof(bySchema(schema).map(String), text)),
              ),
              fc.tuple(text, text),
            ),
            { maxLength: 3 },
          ),
          headers: fc.oneof(fc.constant({ 'content-type': 'application/json' }), headersOf(text)),
          body: schema ? bodyOf(bySchema(schema), anything, text) : fc.constant(undefined),
        })
        .map(({ segments, query, headers, body }): Requested => {
          let next = 0;
          const path = template.replaceAll(/\{\w+\}/g, () => segmentOf(segments[next++] ?? 'x'));
          const search = new URLSearchParams(query.map(([name, value]) => [name, value] as [string, string]));
          const target = `${path}${query.length > 0 ? `?${search}` : ''}`;
          return { method, path: target, headers, ...(body !== undefined && { body }), template, operation };
        });
    }),
  );
}

/** A path's part as clients encode it; one that would lead to another path stands for itself. */
function segmentOf(text: string): string {
  const encoded = encodeURIComponent(text.toWellFormed());
  return /^(\.|%2e)*$/i.test(encoded) || encoded === 'detail' ? 'x' : encoded;
}

function headersOf(text: fc.Arbitrary<string>): fc.Arbitrary<Record<string, string>> {
  // What a header cannot carry never reaches the application.
  const value = text.map((each) => each.replaceAll(/[^\x20-\x7e]/g, '').trim());
  return fc
    .record(
      {
        'idempotency-key': value,
        'openstack-api-version': fc.oneof(
          fc.constantFrom('compute 2.1', 'compute latest', 'compute 2.90'),
          value,
        ),
        'x-openstack-nova-api-version': fc.oneof(fc.constantFrom('2.1', 'latest', '2.45'), value),
        accept: fc.oneof(fc.constantFrom('*/*', 'application/json', 'application/xml', ''), value),
        'content-type': fc.oneof(
          { weight: 12, arbitrary: fc.constant('application/json') },
          {
            weight: 1,
            arbitrary: fc.constantFrom(
              'application/xml',
              'text/plain',
              'multipart/form-data',
              'application/json; charset=utf-7',
            ),
          },
          { weight: 1, arbitrary: value },
        ),
        'content-length': fc.constantFrom('0', '1', '99999999', '-1', 'x'),
        'x-auth-token': value,
      },
      { requiredKeys: ['content-type'] },
    )
    .map(({ 'content-length': length, ...headers }) => ({
      ...(headers as Record<string, string>),
      // A wrong length is for the server before the application; now and then it comes through.
      ...(length === '99999999' && { 'content-length': length }),
    }));
}

function bodyOf(
  valid: fc.Arbitrary<unknown>,
  anything: fc.Arbitrary<unknown>,
  text: fc.Arbitrary<string>,
): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 6, arbitrary: valid.map((value) => JSON.stringify(value) ?? '') },
    { weight: 2, arbitrary: anything.map((value) => JSON.stringify(value) ?? '') },
    { weight: 1, arbitrary: text },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '[',
        '{',
        '['.repeat(30_000),
        `${'['.repeat(30_000)}${']'.repeat(30_000)}`,
        ' '.repeat(70_000),
      ),
    },
  );
}

function arbitraries(document: ApiDocument, text: fc.Arbitrary<string>, anything: fc.Arbitrary<unknown>) {
  const made = new Map<string, fc.Arbitrary<unknown>>();
  /** Mostly what the schema says, sometimes anything at all. */
  const nearly = (exact: fc.Arbitrary<unknown>) =>
    fc.oneof({ weight: 12, arbitrary: exact }, { weight: 1, arbitrary: anything });

  function bySchema(schema: Schema): fc.Arbitrary<unknown> {
    if (schema.$ref) {
      const name = schema.$ref.split('/').at(-1) ?? '';
      const known = made.get(name) ?? bySchema(document.components.schemas[name] ?? {});
      made.set(name, known);
      return known;
    }
    const choices = schema.anyOf ?? schema.oneOf ?? schema.allOf;
    if (choices) return nearly(fc.oneof(...choices.map(bySchema)));
    if (schema.enum) return nearly(fc.constantFrom(...schema.enum));
    if ('const' in schema) return nearly(fc.constant(schema.const));
    const types = [schema.type ?? 'anything'].flat();
    return nearly(fc.oneof(...types.map((type) => ofType(type, schema))));
  }

  function ofType(type: string, schema: Schema): fc.Arbitrary<unknown> {
    switch (type) {
      case 'string':
        return text;
      case 'integer':
        return fc.oneof(fc.integer({ min: -1, max: 20 }), fc.maxSafeInteger());
      case 'number':
        return fc.double();
      case 'boolean':
        return fc.boolean();
      case 'null':
        return fc.constant(null);
      case 'array':
        return fc.array(bySchema(schema.items ?? {}), { maxLength: 3 });
      case 'object':
        return schema.properties ? fieldsOf(schema) : fc.dictionary(text, text, { maxKeys: 3 });
      default:
        return anything;
    }
  }

  function fieldsOf({ properties = {}, required = [] }: Schema): fc.Arbitrary<unknown> {
    const shape = Object.fromEntries(
      Object.entries(properties).map(([name, field]) => [name, bySchema(field)]),
    );
    const [needed, optional] = [true, false].map((wanted) =>
      Object.fromEntries(Object.entries(shape).filter(([name]) => required.includes(name) === wanted)),
    );
    const withOne = Object.entries(optional ?? {}).map(([name, field]) =>
      fc.record({ ...needed, [name]: field }),
    );
    return fc.oneof(
      { weight: 4, arbitrary: fc.record({ ...needed }) },
      ...withOne.map((arbitrary) => ({ weight: 2, arbitrary })),
      { weight: 3, arbitrary: fc.record(shape, { requiredKeys: required as string[] }) },
      { weight: 1, arbitrary: fc.record({ ...shape, unknown: anything }, { requiredKeys: [] }) },
    );
  }

  return bySchema;
}
