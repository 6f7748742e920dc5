import { html } from 'hono/html';
import { type Html, prose } from './prose.ts';

/** So much of a JSON Schema as the document uses. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly format?: string;
  readonly pattern?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly example?: unknown;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly [limit: string]: unknown;
}

/** Schemas by name. */
export type Schemas = Readonly<Record<string, Schema>>;

const REF = '#/components/schemas/';

/** The schema itself, where it stands under a name. */
export function resolved(schema: Schema, schemas: Schemas): Schema {
  return schema.$ref ? (schemas[schema.$ref.slice(REF.length)] ?? {}) : schema;
}

const LIMITS = [
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'maxProperties',
];
/** What any whole number is bound to. */
const INTEGERS: readonly unknown[] = [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER];

/** A schema in a line: its type, with a link where it has a name. Objects without a name follow as a table. */
export function typeOf(schema: Schema): Html {
  if (schema.$ref) {
    const name = schema.$ref.slice(REF.length);
    return html`<a href="#schema-${name}">${name}</a>`;
  }
  const choices = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (choices) return html`${joined(choices.map(typeOf), schema.allOf ? ' and ' : ' or ')}`;
  if (schema.items) return html`list of ${typeOf(schema.items)}`;
  if (schema.properties) return html`object ${fieldsOf(schema)}`;
  if (typeof schema.additionalProperties === 'object')
    return html`object of ${typeOf(schema.additionalProperties)}`;
  const type = [schema.type ?? (schema.enum || 'const' in schema ? [] : 'anything')].flat().join(' or ');
  return html`${type}${valuesOf(schema)}`;
}

function valuesOf(schema: Schema): Html {
  const values = schema.enum ?? ('const' in schema ? [schema.const] : []);
  const limits = LIMITS.filter((limit) => limit in schema && !INTEGERS.includes(schema[limit]));
  const codes = values.map((value) => html` <code>${JSON.stringify(value)}</code>`);
  const notes = [
    ...(schema.format ? [schema.format] : []),
    ...limits.map((limit) => `${limit} ${schema[limit]}`),
    ...('default' in schema ? [`default ${JSON.stringify(schema.default)}`] : []),
  ];
  return html`${codes}${notes.length > 0 ? html` <small>${notes.join(', ')}</small>` : ''}`;
}

/** The fields of an object, as a table. */
export function fieldsOf({ properties = {}, required = [] }: Schema): Html {
  const rows = Object.entries(properties).map(
    ([name, field]) =>
      html`<tr><td><code>${name}</code>${required.includes(name) ? '' : html` <small>optional</small>`}</td>
        <td>${typeOf(field)}${field.description ? html`<p>${prose(field.description)}</p>` : ''}</td></tr>`,
  );
  return html`<table><tbody>${rows}</tbody></table>`;
}

function joined(parts: readonly Html[], between: string): Html[] {
  return parts.map((part, index) => html`${index > 0 ? between : ''}${part}`);
}
