import { MAX_VIRTUAL_BYTES } from '../../vhd/format.ts';
import { logCall } from '../call-log.ts';
import { completeTask, createTask, failTask } from '../classes/task.ts';
import { asFailure, ConnectionCut, XapiFailure } from '../failure.ts';
import { type Fault, withFault } from '../faults.ts';
import { attachToControlDomain } from '../sm/dom0-vbd.ts';
import { asRaw, asVhd } from '../sm/export-formats.ts';
import { openFlatDisk } from '../sm/flat-disk.ts';
import type { Host, PoolState } from '../state.ts';
import { page, refuse } from './http-answer.ts';
import type { HttpRequest } from './http-wire.ts';
import { SocketBody } from './socket-body.ts';

/** The path, and with its verb the name by which the call log and faults know an export. */
export const EXPORT_PATH = '/export_raw_vdi';
export const EXPORT = `GET ${EXPORT_PATH}`;

const CONTENT_TYPES = { raw: 'application/octet-stream', vhd: 'application/vhd' } as const;
type Format = keyof typeof CONTENT_TYPES;

export interface ExportRequest {
  readonly host: Host;
  readonly channel: 'tcp' | 'unix';
  readonly request: HttpRequest;
}

/**
 * Answers a disk's content, flattened (export_raw_vdi.ml, xapi_http.ml). The head goes out before the disk is attached,
 * without a length: what fails later fails the task, and the connection ends early, with the text of a second answer in
 * its last bytes. The control domain's socket needs no session; elsewhere `session_id` is looked at.
 */
export async function exportRawVdi(pool: PoolState, asked: ExportRequest): Promise<void> {
  const { host, channel, request } = asked;
  const { db } = pool;
  const query = new URL(request.url, 'http://xapi').searchParams;
  const { session_id = '', ...rest } = Object.fromEntries(query);
  const entry = logCall(pool, { host, channel, method: EXPORT, params: [session_id, rest] });
  pool.calls.push(entry);
  const givenTask = query.get('task_id') ?? undefined;
  if (channel === 'unix' || db.has('session', session_id)) {
    const vdi = findVdi(pool, query.get('vdi'));
    if (givenTask !== undefined) db.row('task', givenTask);
    if (!seesSr(pool, host, db.text('VDI', vdi, 'SR'))) return redirect(pool, asked, vdi);
    const task = givenTask ?? createTask(pool, { label: EXPORT, host: host.ref, ofCall: true });
    try {
      await withTask(pool, asked, { vdi, task, format: query.get('format') ?? 'raw' });
    } catch (error) {
      entry.error = String(error);
      failTask(pool, task, error instanceof ConnectionCut ? deviceError() : asFailure(error));
    } finally {
      if (givenTask === undefined) db.destroy('task', task);
    }
    return;
  }
  if (givenTask !== undefined && db.has('task', givenTask))
    failTask(pool, givenTask, new XapiFailure('SESSION_AUTHENTICATION_FAILED'));
  refuse(request, 401, page('HTTP 401 unauthorised'), {
    'www-authenticate': 'Basic realm="VDI.export_raw"',
  });
}

function deviceError(): XapiFailure {
  return new XapiFailure('VDI_IO_ERROR', 'Device I/O errors');
}

/** Finds a disk by reference or UUID. */
function findVdi({ db }: PoolState, vdi: string | null): string {
  if (vdi === null) throw new Error('Missing vdi query parameter');
  return db.has('VDI', vdi) ? vdi : db.byUuid('VDI', vdi);
}

function seesSr({ db }: PoolState, host: Host, sr: string): boolean {
  return db
    .referrers('PBD', 'SR', sr)
    .some((pbd) => db.text('PBD', pbd, 'host') === host.ref && db.flag('PBD', pbd, 'currently_attached'));
}

/** Redirects to a host that has the SR attached. */
function redirect(pool: PoolState, { request }: ExportRequest, vdi: string): void {
  const sr = pool.db.text('VDI', vdi, 'SR');
  const other = pool.hosts.find((each) => seesSr(pool, each, sr));
  if (!other) throw new XapiFailure('NO_HOSTS_AVAILABLE');
  const location = `https://${pool.db.text('host', other.ref, 'address')}${request.url}`;
  refuse(request, 302, page('HTTP 302 Found'), { location });
}

async function withTask(
  pool: PoolState,
  { host, request }: ExportRequest,
  { vdi, task, format }: { vdi: string; task: string; format: string },
): Promise<void> {
  if (!isFormat(format)) {
    refuse(request, 404, page('HTTP 404 Not Found'));
    throw new XapiFailure('INTERNAL_ERROR', `Unknown format ${format}`);
  }
  const fault = pool.faults.forCall(EXPORT, [{ vdi: pool.db.text('VDI', vdi, 'uuid'), format }]);
  const body = new SocketBody(request.socket, fault);
  try {
    await body.write(head(task, format, `${pool.db.text('VDI', vdi, 'uuid')}.${format}`), 'head');
    if (format === 'vhd' && Number(pool.db.text('VDI', vdi, 'virtual_size')) > MAX_VIRTUAL_BYTES)
      throw new XapiFailure('VDI_TOO_LARGE', vdi, String(MAX_VIRTUAL_BYTES));
    await withFault(startFault(fault), pool.clock, async () => {
      const detach = attachToControlDomain(pool, host, vdi);
      try {
        const disk = await openFlatDisk(pool, vdi);
        for await (const data of format === 'vhd' ? asVhd(disk) : asRaw(disk)) await body.write(data);
        if (fault?.extraBytes) await body.write(Buffer.alloc(fault.extraBytes));
      } finally {
        detach();
      }
    });
    completeTask(pool, task, '');
    body.end();
  } catch (error) {
    if (error instanceof ConnectionCut) body.cut();
    else if (body.isEndedEarly) completeTask(pool, task, '');
    // The handler's caller does not know that the head is out, and answers once more (http_svr.ml).
    else body.end(`HTTP/1.1 500 Internal Error\r\ncontent-type: text/html\r\n\r\n${page('HTTP 500')}`);
    throw error;
  }
}

/** A fault that strikes in the middle leaves the start as it is. */
function startFault(fault: Fault | undefined): Fault | undefined {
  return fault?.afterBytes === undefined ? fault : undefined;
}

function isFormat(format: string): format is Format {
  return Object.hasOwn(CONTENT_TYPES, format);
}

function head(task: string, format: Format, filename: string): Buffer {
  const lines = [
    'HTTP/1.1 200 OK',
    'Connection: close',
    'Cache-Control: no-cache, no-store',
    `task-id: ${task}`,
    `content-type: ${CONTENT_TYPES[format]}`,
    `content-disposition: attachment; filename="${filename}"`,
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);
}
