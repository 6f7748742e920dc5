import { type Answer, Refused } from './answer.ts';
import { download } from './download.ts';
import type { Exchange } from './exchange.ts';
import { addTag, create, remove, removeTag, show } from './images.ts';
import { list } from './list.ts';
import { patch } from './patch.ts';
import { schemas } from './schemas.ts';
import { upload } from './upload.ts';

type Handler = (exchange: Exchange, ...captured: string[]) => Promise<Answer>;

const routes: [RegExp, Record<string, Handler>][] = [
  [/^\/v2\/images$/, { GET: list, POST: create }],
  [/^\/v2\/images\/([^/]+)$/, { GET: show, PATCH: patch, DELETE: remove }],
  [/^\/v2\/images\/([^/]+)\/file$/, { GET: download, PUT: upload }],
  [/^\/v2\/images\/([^/]+)\/tags\/([^/]+)$/, { PUT: addTag, DELETE: removeTag }],
  [/^\/v2\/schemas\/image$/, { GET: async () => ({ status: 200, json: schemas.image }) }],
  [/^\/v2\/schemas\/images$/, { GET: async () => ({ status: 200, json: schemas.images }) }],
];

/** @throws Refused 404 for an unknown path, 405 with Allow for another method */
export function route(method: string, path: string, exchange: Exchange): Promise<Answer> {
  for (const [pattern, methods] of routes) {
    const match = pattern.exec(path);
    if (!match) continue;
    const handler = methods[method];
    if (handler) return handler(exchange, ...match.slice(1).map(decode));
    const detail = `The method ${method} is not allowed for this resource.`;
    throw new Refused(405, detail, { Allow: Object.keys(methods).join(', ') });
  }
  throw new Refused(404, 'The resource could not be found.');
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
