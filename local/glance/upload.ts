import { createHash } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { type Answer, Refused } from './answer.ts';
import { ConnectionLost, receive, SERVER_ERROR } from './body.ts';
import { type Exchange, type Service, saveChanged } from './exchange.ts';
import { strike } from './midway.ts';
import type { ImageRecord } from './records.ts';

/**
 * PUT /v2/images/{id}/file: queued → saving → active. What ends early goes back to queued and loses its partial
 * file; two ends do not (both as in Zed): a killed server leaves `saving`, and so does a chunked upload that turns
 * out to exceed the quota once all of it has come. At its end, good or bad, an upload writes the record as it was
 * at its start: what a PATCH changed meanwhile is lost, as in Zed.
 */
export async function upload(exchange: Exchange, id: string): Promise<Answer> {
  const { service, req } = exchange;
  const type = req.headers['content-type'];
  if (type !== 'application/octet-stream')
    throw new Refused(415, `The request media type ${type} is not supported by this server.`);
  const record = service.records.get(id);
  if (!record) throw new Refused(404, `No image found with ID ${id}`);
  if (record.status !== 'queued')
    throw new Refused(409, `Image status transition from ${record.status} to saving is not allowed`);
  if (!record.disk_format || !record.container_format) {
    const missing = (['disk_format', 'container_format'] as const).filter((key) => !record[key]);
    throw new Refused(400, `Properties ${missing.join(', ')} must be set prior to saving data.`);
  }
  saveChanged(service, { ...record, status: 'saving' });
  const progress = service.uploads.start(id);
  try {
    const length = req.headers['content-length'];
    checkQuota(service, id, length === undefined ? undefined : Number(length));
    exchange.proceed();
    const written = await store(exchange, id, progress.add);
    return await activate(service, record, written);
  } catch (error) {
    // A deleted image stays deleted.
    const back = service.records.get(id) && !(error instanceof StuckSaving);
    if (back) saveChanged(service, { ...record, status: 'queued' });
    throw error;
  } finally {
    progress.end();
  }
}

interface Written {
  size: number;
  md5: string;
  sha512: string;
}

class StuckSaving extends Refused {}

async function store(exchange: Exchange, id: string, add: (bytes: number) => void): Promise<Written> {
  const { service, req } = exchange;
  const path = service.records.dataPath(id);
  const file = await open(path, 'w');
  const md5 = createHash('md5');
  const sha512 = createHash('sha512');
  let size = 0;
  // When the client last sent something; it is not its fault while we are busy.
  let seen: Date | undefined = service.clock.now();
  const over = new AbortController();
  dropStalled(exchange, () => seen ?? service.clock.now(), over.signal);
  try {
    await receive(req, async (piece) => {
      seen = undefined;
      const { fault } = exchange;
      if (fault?.midway && size + piece.length >= (fault.afterBytes ?? 1)) await strike(exchange, fault);
      size += piece.length;
      if (size > service.sizeCapBytes)
        throw new Refused(413, 'The incoming image is too large: The provided image is too large.');
      md5.update(piece);
      sha512.update(piece);
      await writeAll(file, piece);
      add(piece.length);
      seen = service.clock.now();
    });
    return { size, md5: md5.digest('hex'), sha512: sha512.digest('hex') };
  } catch (error) {
    await rm(path, { force: true });
    if (error instanceof Refused || error instanceof ConnectionLost) throw error;
    const full = error instanceof Error && 'code' in error && error.code === 'ENOSPC';
    throw full ? new Refused(413, 'Image storage media is full') : new Refused(500, SERVER_ERROR);
  } finally {
    over.abort();
    await file.close();
  }
}

async function activate(service: Service, record: ImageRecord, written: Written): Promise<Answer> {
  const { id } = record;
  const { size, md5, sha512 } = written;
  if (!service.records.get(id)) {
    await rm(service.records.dataPath(id), { force: true });
    const detail = `Image ${id} could not be found after upload. The image may have been deleted during the upload`;
    throw new Refused(410, detail);
  }
  try {
    checkQuota(service, id, size);
  } catch (error) {
    await rm(service.records.dataPath(id), { force: true });
    if (error instanceof Refused) throw new StuckSaving(error.status, error.message);
    throw error;
  }
  const hashes = { checksum: md5, os_hash_algo: 'sha512', os_hash_value: sha512 };
  saveChanged(service, { ...record, ...hashes, size, status: 'active' });
  return { status: 204, headers: { 'Content-Type': 'text/html; charset=UTF-8' } };
}

/** An upload of unknown size is let through while any quota is left. */
function checkQuota({ records, quotaBytes }: Service, id: string, size: number | undefined): void {
  if (quotaBytes === undefined) return;
  const used = records.all().reduce((sum, other) => sum + (other.id === id ? 0 : (other.size ?? 0)), 0);
  const remaining = quotaBytes - used;
  if (size === undefined ? remaining > 0 : size <= remaining) return;
  const exceeds = `The size of the data ${size ?? 'None'} will exceed the limit. ${remaining} bytes remaining.`;
  throw new Refused(413, `Image exceeds the storage quota: ${exceeds}`);
}

/** Cuts a client off that has sent nothing for client_socket_timeout. */
function dropStalled({ service, req }: Exchange, seen: () => Date, over: AbortSignal): void {
  const { clock, socketTimeoutSeconds } = service;
  const idleSeconds = () => (clock.now().getTime() - seen().getTime()) / 1000;
  const watch = async () => {
    while (idleSeconds() < socketTimeoutSeconds)
      await clock.sleep(socketTimeoutSeconds - idleSeconds(), over);
    req.socket.destroy();
  };
  watch().catch(() => undefined); // aborted: the upload ended first
}

async function writeAll(file: FileHandle, piece: Buffer): Promise<void> {
  for (let at = 0; at < piece.length; ) at += (await file.write(piece, at)).bytesWritten;
}
