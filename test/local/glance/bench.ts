import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createGlance, type Glance } from '../../../glance/client.ts';
import type { Image } from '../../../glance/image.ts';
import { type GlanceServer, type GlanceServerOptions, startGlance } from '../../../local/glance/server.ts';

/** A folder that goes with the test. */
export async function aFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-glance-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** An embedded Glance and a client for it, both closed when the test is over. */
export async function aGlance(
  options: Partial<GlanceServerOptions> = {},
): Promise<{ server: GlanceServer; glance: Glance }> {
  const server = await startGlance({ dataDir: await aFolder(), ...options });
  onTestFinished(() => server.close());
  const { token } = options;
  const glance = createGlance({ url: server.url, ...(token && { token: async () => token }) });
  onTestFinished(() => glance.close());
  return { server, glance };
}

export function anImage(glance: Glance): Promise<Image> {
  return glance.createImage({
    id: randomUUID(),
    name: 'web-1',
    properties: { os_type: 'linux' },
    diskFormat: 'vhd',
    containerFormat: 'ovf',
    visibility: 'private',
  });
}

/** The status of a plain upload, or what became of its connection. */
export async function upload(url: string, id: string, data = 'abc', token?: string): Promise<number | 'cut'> {
  try {
    const response = await fetch(`${url}/v2/images/${id}/file`, {
      method: 'PUT',
      headers: { 'content-type': 'application/octet-stream', ...(token && { 'x-auth-token': token }) },
      body: data,
    });
    await response.body?.cancel();
    return response.status;
  } catch {
    return 'cut';
  }
}
