import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { type Answer, Refused } from './answer.ts';
import { checkCharacters, checkCounts, checkValue, checkWritable } from './attributes.ts';
import { receiveJson, SERVER_ERROR } from './body.ts';
import { type Exchange, saveChanged, timestamp } from './exchange.ts';
import type { ImageRecord } from './records.ts';
import { imageJson } from './wire.ts';

/** POST /v2/images */
export async function create(exchange: Exchange): Promise<Answer> {
  const { service, baseUrl } = exchange;
  exchange.proceed();
  const body = await receiveJson(exchange.req);
  // Zed answers 500 to JSON that is no object.
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new Refused(500, SERVER_ERROR);
  let record = emptyRecord(timestamp(service));
  // The schema comes first: a read-only attribute of the wrong type is 400, of the right one 403.
  for (const [key, value] of Object.entries(body)) checkValue(key, value);
  for (const [key, value] of Object.entries(body)) {
    checkWritable(key);
    record = withAttribute(record, key, value);
  }
  checkCounts(record);
  checkCharacters({ ...body });
  if (service.records.known(record.id)) throw new Refused(409, `Image ID ${record.id} already exists!`);
  service.records.save(record);
  const headers = {
    Location: `${baseUrl}/v2/images/${record.id}`,
    'Openstack-Image-Import-Methods': 'glance-direct,web-download,copy-image',
    'Openstack-Image-Store-Ids': 'fs',
  };
  return { status: 201, headers, json: imageJson(record) };
}

/** GET /v2/images/{id} */
export async function show({ service }: Exchange, id: string): Promise<Answer> {
  return { status: 200, json: imageJson(found(service.records.get(id), id)) };
}

/** DELETE /v2/images/{id}: an upload under way goes on and gets 410 at its end, so its file is left to it. */
export async function remove({ service }: Exchange, id: string): Promise<Answer> {
  const record = service.records.get(id);
  if (!record) throw new Refused(404, `Failed to find image ${id} to delete`);
  if (record.protected) throw new Refused(403, `Image ${id} is protected and cannot be deleted.`);
  saveChanged(service, { ...record, status: 'deleted' });
  const uploading = service.uploads.now().some(({ imageId }) => imageId === id);
  if (!uploading) await rm(service.records.dataPath(id), { force: true });
  return { status: 204, headers: { 'Content-Type': 'text/html; charset=UTF-8' } };
}

/** PUT /v2/images/{id}/tags/{tag} */
export async function addTag({ service }: Exchange, id: string, tag: string): Promise<Answer> {
  const record = found(service.records.get(id), id);
  const tags = [...new Set([...record.tags, tag])];
  checkValue('tags', tags);
  checkCounts({ ...record, tags });
  saveChanged(service, { ...record, tags });
  return { status: 204 };
}

/** DELETE /v2/images/{id}/tags/{tag} */
export async function removeTag({ service }: Exchange, id: string, tag: string): Promise<Answer> {
  const record = found(service.records.get(id), id);
  if (!record.tags.includes(tag)) throw new Refused(404, 'The resource could not be found.');
  saveChanged(service, { ...record, tags: record.tags.filter((other) => other !== tag) });
  return { status: 204 };
}

/** @throws Refused 404 */
export function found(record: ImageRecord | undefined, id: string): ImageRecord {
  if (!record) throw new Refused(404, `No image found with ID ${id}`);
  return record;
}

/** The record with one checked attribute or property set; doubled tags become one. */
export function withAttribute(record: ImageRecord, key: string, value: unknown): ImageRecord {
  if (key === 'tags' && Array.isArray(value)) return { ...record, tags: [...new Set<string>(value)] };
  if (key !== 'properties' && Object.hasOwn(record, key)) return { ...record, [key]: value };
  return { ...record, properties: { ...record.properties, [key]: String(value) } };
}

function emptyRecord(now: string): ImageRecord {
  return {
    id: randomUUID(),
    name: null,
    status: 'queued',
    size: null,
    checksum: null,
    os_hash_algo: null,
    os_hash_value: null,
    disk_format: null,
    container_format: null,
    visibility: 'shared',
    owner: null,
    protected: false,
    os_hidden: false,
    min_disk: 0,
    min_ram: 0,
    tags: [],
    created_at: now,
    updated_at: now,
    properties: {},
  };
}
