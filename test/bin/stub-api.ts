import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ImageView } from '../../functions/api/image-view.ts';
import type { RestoreView } from '../../functions/api/restore-view.ts';
import type { JobView } from '../../functions/api/view.ts';
import type { Received } from './sigv4.ts';

/** What the stub answers to `METHOD /path?query`: a status and a document, or a text that is no JSON; headers. */
export type Answers = Record<string, (request: Received) => Answer>;
type Answer = [status: number, body: object | string, headers?: Record<string, string>];

export interface StubApi extends AsyncDisposable {
  readonly url: string;
  /** `METHOD /path?query` and body of each request. */
  readonly requests: { readonly line: string; readonly body: unknown }[];
  /** The requests as they came. */
  readonly received: Received[];
}

/** An API that answers what it is told, for tests of how the command line asks and shows. */
export async function stubApi(answers: Answers): Promise<StubApi> {
  const requests: StubApi['requests'] = [];
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    const chunks = await request.toArray();
    const line = `${request.method} ${request.url}`;
    const text = Buffer.concat(chunks).toString();
    requests.push({ line, body: text === '' ? undefined : JSON.parse(text) });
    const { method = '', url: target = '', headers } = request;
    const raw = { method, target, headers, body: text };
    received.push(raw);
    const [status, body, more]: Answer = answers[line]?.(raw) ?? [
      404,
      { error: { name: 'NotFound', message: `no ${line}` } },
    ];
    response.writeHead(status, { 'content-type': 'application/json', ...more });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    received,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export const JOB_ID = '4b1f7a52-6d0e-4c39-8f5a-2f6f1f0f9f11';

/** What the views of both kinds of jobs have, of one in the middle of its transfer. */
const COMMON = {
  id: JOB_ID,
  status: 'running',
  progress: 40,
  bytesRead: null,
  bytesTotal: null,
  etaSeconds: null,
  pool: 'demo',
  host: 'xen1',
  hostUuid: 'host-1',
  requestedBy: null,
  cancelledBy: null,
  warnings: [],
  error: null,
  createdAt: '2026-01-01T00:00:00.000Z',
  startedAt: null,
  finishedAt: null,
  virtualBytes: null,
  sizeBytes: null,
  cost: null,
  xapiCalls: 0,
  owes: [],
  retrying: null,
  waiting: null,
  owing: null,
} satisfies Partial<JobView>;

const VM = { uuid: '0c7d2f4e-9f0b-4b0c-9d3e-0c9f5f6a7b8c', name: 'web-1' };

export function aJobView(fields: Partial<JobView> = {}): JobView {
  return {
    ...COMMON,
    phase: 'PollUpload',
    bytesSent: null,
    vm: VM,
    imageId: JOB_ID,
    imageName: 'nightly',
    format: 'vhd',
    device: null,
    flatten: false,
    backup: null,
    run: null,
    consistency: null,
    sha512: null,
    vhds: [],
    ...fields,
  };
}

export const IMAGE_ID = '7c1d4a7e-02c3-4a52-9d1b-3a0c6f0f7a10';

export function aRestoreView(fields: Partial<RestoreView> = {}): RestoreView {
  return {
    ...COMMON,
    phase: 'PollDownload',
    bytesWritten: null,
    image: { id: IMAGE_ID, name: 'nightly' },
    vm: null,
    diskUuid: null,
    sr: null,
    macs: null,
    start: false,
    disksOnly: false,
    test: false,
    reached: null,
    into: null,
    ...fields,
  };
}

/** A restore point that is as it should be. */
export function anImageView(fields: Partial<ImageView> = {}): ImageView {
  return {
    id: IMAGE_ID,
    name: 'nightly',
    status: 'active',
    createdAt: '2026-11-19T01:00:00Z',
    takenAt: '2026-11-19T02:00:13.000Z',
    sizeBytes: 2 ** 30,
    virtualBytes: 2 ** 32,
    format: 'vhd',
    vm: VM,
    device: '0',
    pool: 'demo',
    backupType: 'daily',
    consistency: 'crash-consistent',
    verified: true,
    tested: null,
    protected: false,
    refusal: null,
    ...fields,
  };
}

export const SUCCEEDED = {
  status: 'succeeded',
  phase: 'ReleaseHost',
  progress: 100,
  finishedAt: '2026-01-01T00:01:05.000Z',
  sizeBytes: 3 * 2 ** 20,
  sha512: 'abc123',
  vhds: [{ name: '0.vhd', uuid: 'u', bytes: 5 }],
  consistency: 'crash-consistent',
  warnings: ['it was cold'],
  xapiCalls: 44,
} as const satisfies Partial<JobView>;
