import type { OpenAPIHono } from '@hono/zod-openapi';
import packageJson from '../../../package.json' with { type: 'json' };
import { type ApiDocument, CONTENT_SECURITY_POLICY, pageOf } from './page.ts';

/** `GET /openapi.json`, and `GET /docs`, which shows it in a browser. Both are made when first asked for. */
export function routeDocs(app: OpenAPIHono): void {
  let document: object | undefined;
  const documentOf = () => {
    document ??= app.getOpenAPI31Document({
      openapi: '3.1.0',
      info: { title: 'xensnap', version: packageJson.version, description: packageJson.description },
    });
    return document;
  };
  app.get('/openapi.json', (c) => c.json(documentOf()));

  let page: string | undefined;
  app.get('/docs', async (c) => {
    page ??= String(await pageOf(documentOf() as ApiDocument));
    c.header('Content-Security-Policy', CONTENT_SECURITY_POLICY);
    c.header('X-Content-Type-Options', 'nosniff');
    c.header('Referrer-Policy', 'no-referrer');
    return c.html(page);
  });
}
