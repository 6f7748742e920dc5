import { type Answer, Refused } from './answer.ts';
import type { Exchange } from './exchange.ts';
import { found } from './images.ts';

/** GET /v2/images/{id}/file: 204 while there is no data. Content-Md5 holds hex, and the whole file's also for a range. */
export async function download({ service, req }: Exchange, id: string): Promise<Answer> {
  const record = found(service.records.get(id), id);
  if (record.status !== 'active' || record.size === null) return { status: 204 };
  const { size } = record;
  const headers = { 'Content-Type': 'application/octet-stream', 'Content-Md5': record.checksum ?? '' };
  const path = service.records.dataPath(id);
  const range = readRange(req.headers.range, size);
  if (!range) return { status: 200, headers, file: { path, start: 0, end: size - 1 } };
  const { start, end } = range;
  const contentRange = { 'Content-Range': `bytes ${start}-${end}/${size}` };
  return { status: 206, headers: { ...headers, ...contentRange }, file: { path, start, end } };
}

function readRange(header: string | undefined, size: number): { start: number; end: number } | undefined {
  if (header === undefined) return undefined;
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? [];
  if (!first && !last) throw new Refused(416, 'The Range requested is not available.');
  const start = first ? Number(first) : Math.max(size - Number(last), 0);
  const end = first && last ? Math.min(Number(last), size - 1) : size - 1;
  if (start >= size || end < start) throw new Refused(416, 'The Range requested is not available.');
  return { start, end };
}
