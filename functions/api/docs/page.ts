import { createHash } from 'node:crypto';
import { html, raw } from 'hono/html';
import { exampleOf } from './example.ts';
import { type Html, prose } from './prose.ts';
import { fieldsOf, type Schema, type Schemas, typeOf } from './schema.ts';

interface Media {
  readonly schema?: Schema;
}
interface Answer {
  readonly description: string;
  readonly content?: Readonly<Record<string, Media>>;
  readonly headers?: Readonly<Record<string, { readonly schema?: Schema }>>;
}
interface Operation {
  readonly operationId?: string;
  readonly tags?: readonly string[];
  readonly summary?: string;
  readonly description?: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly schema?: Schema;
  }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<Record<string, Answer>>;
}

/** The OpenAPI document, as far as the page shows it. */
export interface ApiDocument {
  readonly info: { readonly title: string; readonly version: string; readonly description?: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components?: { readonly schemas?: Schemas };
}

const STYLE = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 6rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); } h3, h4 { margin: 1rem 0 .3rem; }
small { opacity: .7; } p { margin: .3rem 0; } code { font: 13px ui-monospace, monospace; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0; padding: 0 .8rem; }
details[open] { padding-bottom: .8rem; }
summary { cursor: pointer; padding: .5rem 0; display: flex; gap: .8rem; align-items: baseline; flex-wrap: wrap; }
summary code { font-weight: 600; overflow-wrap: anywhere; }
.method { font: 700 12px ui-monospace, monospace; width: 4.2rem; text-align: center; border-radius: 4px; color: #fff; background: #57606a; }
.get { background: #0a69c7; } .post { background: #1a7f37; } .put { background: #9a6700; } .delete { background: #c2293a; }
table { border-collapse: collapse; width: 100%; margin: .2rem 0; }
td { border-top: 1px solid var(--line); padding: .3rem .8rem .3rem 0; vertical-align: top; overflow-wrap: anywhere; } td:first-child { width: 13rem; }
pre { margin: .2rem 0; padding: .5rem .7rem; border: 1px solid var(--line); border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 40rem) { td, td:first-child { display: block; width: auto; padding-right: 0; } td + td { border-top: 0; padding-top: 0; } td table { padding-left: .6rem; } }
`;

const FOR_EXAMPLES =
  'The examples take the URL of the service from `XENSNAP_API`, what an id stands for from `ID`, and a token from `TOKEN`: on one machine what is in the file that the service names at its start, in AWS one of Keystone. With IAM or a JWT another header stands in its place.';

/** No script, no frame, no form, nothing of any other host: the page is all there is. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The page that shows an OpenAPI document. */
export function pageOf({ info, paths, components: { schemas = {} } = {} }: ApiDocument): Html {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const groups = Map.groupBy(operations, ({ operation }) => operation.tags?.[0] ?? info.title);
  // The native API first.
  const ordered = [...groups].sort(([a], [b]) => Number(b === info.title) - Number(a === info.title));
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${info.title} API</title>
<link rel="icon" href="data:,">
<style>${raw(STYLE)}</style>
</head>
<body>
<h1>${info.title} <small>${info.version}</small></h1>
<p>${info.description ?? ''}</p>
<p><a href="openapi.json">openapi.json</a></p>
<p>${prose(FOR_EXAMPLES)}</p>
${ordered.map(
  ([name, members]) => html`<section><h2>${name}</h2>
${members.map(({ path, method, operation }) => operationView(path, method, operation, schemas))}</section>`,
)}
<section><h2>Schemas</h2>
${Object.entries(schemas).map(
  ([name, schema]) => html`<div id="schema-${name}"><h3>${name}</h3>
${schema.description ? html`<p>${prose(schema.description)}</p>` : ''}${schema.properties ? fieldsOf(schema) : html`<p>${typeOf(schema)}</p>`}</div>`,
)}</section>
</body>
</html>`;
}

function operationView(path: string, method: string, operation: Operation, schemas: Schemas): Html {
  const { operationId = '', summary = '', description, parameters = [], requestBody, responses } = operation;
  return html`<details id="${operationId}"><summary><span class="method ${method}">${method.toUpperCase()}</span><code>${path}</code><span>${prose(summary)}</span></summary>
${description ? html`<p>${prose(description)}</p>` : ''}
${
  parameters.length > 0
    ? html`<h4>Parameters</h4><table><tbody>${parameters.map(
        ({
          name,
          in: place,
          required,
          schema = {},
        }) => html`<tr><td><code>${name}</code> <small>${place}${required ? '' : ', optional'}</small></td>
<td>${typeOf(schema)}${schema.description ? html`<p>${prose(schema.description)}</p>` : ''}</td></tr>`,
      )}</tbody></table>`
    : ''
}
${requestBody ? html`<h4>Body</h4>${contentView(requestBody.content)}` : ''}
<h4>Example</h4><pre><code>${exampleOf({ path, method, schema: bodyOf(requestBody) }, schemas)}</code></pre>
<h4>Answers</h4><table><tbody>${Object.entries(responses).map(
    ([status, answer]) => html`<tr><td><code>${status}</code></td>
<td>${prose(answer.description)}${contentView(answer.content ?? {})}${headersView(answer.headers ?? {})}</td></tr>`,
  )}</tbody></table>
</details>`;
}

function bodyOf(body: Operation['requestBody']): Schema | undefined {
  return Object.values(body?.content ?? {})[0]?.schema;
}

function contentView(content: Readonly<Record<string, Media>>): Html[] {
  return Object.entries(content).map(
    ([type, { schema = {} }]) => html`<p><small>${type}</small> ${typeOf(schema)}</p>`,
  );
}

function headersView(headers: NonNullable<Answer['headers']>): Html[] {
  return Object.entries(headers).map(
    ([name, { schema = {} }]) =>
      html`<p><code>${name}</code> ${typeOf(schema)} <small>${prose(schema.description ?? '')}</small></p>`,
  );
}
