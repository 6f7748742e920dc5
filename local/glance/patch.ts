import { type Answer, Refused } from './answer.ts';
import { attributes, checkCharacters, checkCounts, checkValue, checkWritable } from './attributes.ts';
import { receiveJson } from './body.ts';
import { type Exchange, saveChanged } from './exchange.ts';
import { found, withAttribute } from './images.ts';
import type { ImageRecord } from './records.ts';
import { imageJson } from './wire.ts';

const MEDIA_TYPE = 'application/openstack-images-v2.1-json-patch';

/** PATCH /v2/images/{id}: add, replace, remove; all or nothing. Allowed while an upload runs. */
export async function patch(exchange: Exchange, id: string): Promise<Answer> {
  const { service, req } = exchange;
  const type = req.headers['content-type'];
  if (type !== MEDIA_TYPE) {
    const detail = `The request media type ${type} is not supported by this server.`;
    throw new Refused(415, detail, { 'Accept-Patch': MEDIA_TYPE });
  }
  exchange.proceed();
  const operations = await receiveJson(req);
  if (!Array.isArray(operations))
    throw new Refused(400, 'Request body must be a JSON array of operation objects.');
  const before = found(service.records.get(id), id);
  const after = operations.map(read).reduce(apply, before);
  checkCounts(after);
  if (operations.length > 0) saveChanged(service, after);
  return { status: 200, json: imageJson(found(service.records.get(id), id)) };
}

interface Operation {
  op: 'add' | 'replace' | 'remove';
  key: string;
  value: unknown;
}

function read(operation: unknown): Operation {
  if (typeof operation !== 'object' || operation === null)
    throw new Refused(400, 'Operations must be JSON objects.');
  const { op, path, value }: { op?: unknown; path?: unknown; value?: unknown } = operation;
  if (op !== 'add' && op !== 'replace' && op !== 'remove') {
    throw new Refused(
      400,
      `Invalid operation: \`${op}\`. It must be one of the following: add, remove, replace.`,
    );
  }
  if (typeof path !== 'string' || !/^\/[^/]+$/.test(path))
    throw new Refused(400, `Invalid JSON pointer for this resource: '${path}'`);
  if (op !== 'remove' && value === undefined)
    throw new Refused(400, 'Operation objects must contain a value.');
  return { op, key: path.slice(1).replaceAll('~1', '/').replaceAll('~0', '~'), value };
}

function apply(record: ImageRecord, { op, key, value }: Operation): ImageRecord {
  const exists = Object.hasOwn(record.properties, key);
  const base = Object.hasOwn(attributes, key);
  if (key === 'id') throw new Refused(403, "Attribute 'id' is read-only.");
  if (op === 'remove') {
    if (base) throw new Refused(403, `Property ${key} may not be removed.`);
    if (!exists) throw new Refused(409, `Property ${key} does not exist.`);
    const { [key]: _, ...properties } = record.properties;
    return { ...record, properties };
  }
  checkWritable(key);
  checkValue(key, value);
  if (/^(disk|container)_format$/.test(key) && record.status !== 'queued')
    throw new Refused(403, `Attribute ${key} can be only replaced for a queued image.`);
  if (op === 'replace' && !base && !exists) throw new Refused(409, `Property ${key} does not exist.`);
  checkCharacters({ [key]: value });
  return withAttribute(record, key, value);
}
