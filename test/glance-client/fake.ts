import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { createGlance, type Glance, type GlanceOptions } from '../../glance/client.ts';

/** A server that answers as a test says, for answers that no Glance gives when asked to. Ends with the test. */
export async function aServer(answer: (req: IncomingMessage, res: ServerResponse) => void): Promise<string> {
  const server = createServer(answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A client that is closed when the test is over. */
export function aClient(options: GlanceOptions): Glance {
  const glance = createGlance(options);
  onTestFinished(() => glance.close());
  return glance;
}

/** The name and the message of the error that a call ends in. */
export async function failure(call: Promise<unknown>): Promise<string> {
  const error: unknown = await call.then(
    () => 'no error',
    (reason) => reason,
  );
  return String(error);
}

/** An image as Glance would send it. */
export const anImage = (id: string) => ({
  id,
  name: id,
  status: 'active',
  size: 3,
  visibility: 'private',
  protected: false,
  os_hidden: false,
  tags: ['gold'],
  min_disk: 0,
  created_at: '2026-01-02T03:04:05Z',
  updated_at: '2026-01-02T03:04:06Z',
  stores: 'fs',
  self: `/v2/images/${id}`,
  xensnap_job: id,
});
