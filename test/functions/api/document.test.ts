import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ServedApi, serveApi } from './served-api.ts';

interface Operation {
  operationId: string;
  responses: Record<string, { headers?: object }>;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown> };
}

let api: ServedApi;
let document: Document;
beforeAll(async () => {
  api = await serveApi({ pool: { vms: 1 } });
  document = (await api.ask('GET', '/openapi.json')).body;
});
afterAll(() => api[Symbol.asyncDispose]());

const operations = () =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );

it('is OpenAPI 3.1, names each operation once, and has what it refers to', () => {
  expect(document.openapi).toBe('3.1.0');
  const ids = operations().map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids).toContain('requestSnapshot');
  const references = JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g);
  for (const [, name = ''] of references) expect(document.components.schemas).toHaveProperty(name);
});

it('says with each 503 when to ask again', () => {
  for (const { operation } of operations()) {
    const unavailable = operation.responses['503'];
    if (unavailable) expect(unavailable.headers).toHaveProperty('Retry-After');
  }
});

it('says of each operation that looks at a body how large it may be', () => {
  for (const { operation } of operations())
    if (operation.responses['415']) expect(operation.responses, operation.operationId).toHaveProperty('413');
});

it('documents every status with which hostile requests are answered', async () => {
  const hostile = fc.record({
    target: fc.constantFrom(...operations().filter(({ path }) => !['/janitor', '/doctor'].includes(path))),
    id: fc.oneof(fc.uuid(), fc.string({ unit: 'binary' })),
    query: fc.array(
      fc.tuple(
        fc.constantFrom('vm', 'pool', 'status', 'limit', 'marker', 'x'),
        fc.string({ unit: 'binary' }),
      ),
      { maxLength: 3 },
    ),
    body: fc.oneof(
      fc.json(),
      fc.record(
        {
          vm: fc.oneof(fc.string({ unit: 'binary' }), fc.string()),
          quiesce: fc.constantFrom('never', 'prefer', 'require', 'x'),
          metadata: fc.dictionary(fc.string(), fc.oneof(fc.string({ unit: 'binary' }), fc.integer())),
          maxSizeGib: fc.double(),
        },
        { requiredKeys: ['vm'] },
      ),
      fc.string({ unit: 'binary' }),
    ),
    key: fc.option(fc.string({ unit: 'grapheme-ascii', maxLength: 300 }), { nil: undefined }),
  });
  await fc.assert(
    fc.asyncProperty(hostile, async ({ target, id, query, body, key }) => {
      const path = target.path.replace('{id}', encodeURIComponent(id.toWellFormed()) || 'x');
      const search = new URLSearchParams();
      for (const [name, value] of query) search.append(name, value.toWellFormed());
      const answer = await api.ask(
        target.method,
        `${path}?${search}`,
        target.method === 'POST' ? body : undefined,
        key === undefined ? {} : { 'idempotency-key': key },
      );
      expect(Object.keys(target.operation.responses)).toContain(String(answer.status));
      expect(answer.status).not.toBe(500);
      if (answer.status >= 400 && target.path !== '/healthz')
        expect(Object.values(answer.body)).toEqual([
          expect.objectContaining({
            message: expect.any(String),
            [/^\/v\d/.test(target.path) ? 'code' : 'name']: expect.anything(),
          }),
        ]);
    }),
    { numRuns: 250 },
  );
});
