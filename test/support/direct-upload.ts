import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGlance } from '../../glance/client.ts';
import { localClock } from '../../local/clock.ts';
import { type GlanceServer, startGlance } from '../../local/glance/server.ts';
import { type SimulatedPool, startPool } from '../../local/pool/pool.ts';
import { logIn, type TestClient } from '../local/pool/client.ts';
import { downloadBundle } from './bundle.ts';
import { PLUGIN_FILE } from './scenario.ts';
import { readChain } from './vhd-reader.ts';

/** How an upload ended, in the plugin's words. */
export interface Outcome {
  readonly imageId: string;
  readonly state: string;
  readonly error?: { readonly code: string; readonly message: string; readonly retryable: boolean } | null;
}

/** A pool with an embedded Glance, and the plugin called as the control plane calls it, without the control plane. */
export interface DirectWorld extends AsyncDisposable {
  readonly pool: SimulatedPool;
  readonly glance: GlanceServer;
  readonly client: TestClient;
  /** Has the master's plugin upload a template's root disk. */
  upload(job: { jobId: string; template: string; source: 'auto' | 'export' }): Promise<Outcome>;
  /** Byte at which an image differs from the pool's model of a disk; null when it is the disk. */
  differsFrom(vdiUuid: string, imageId: string): Promise<number | null>;
  /** PIDs of the plugin's processes in the master's control domain. */
  pluginProcesses(): Promise<number[]>;
}

/** Nothing is coalesced by itself, and guests write when they are told to. */
export async function directWorld(): Promise<DirectWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'direct-'));
  const clock = localClock(1000);
  const pool = await startPool({
    dataDir: join(folder, 'pool'),
    pluginFile: PLUGIN_FILE,
    clock,
    hosts: 1,
    vms: 0,
    keepModels: true,
    guestWrites: false,
    gcQuietSeconds: 1e9,
  });
  const glance = await startGlance({ dataDir: join(folder, 'glance') });
  const client = await logIn(pool.url, pool.username, pool.password);
  const images = createGlance({ url: glance.url });
  const [host] = pool.hosts;
  return {
    pool,
    glance,
    client,
    async upload({ jobId, template, source }) {
      const imageId = randomUUID();
      await images.createImage({
        id: imageId,
        name: 'direct',
        diskFormat: 'vhd',
        containerFormat: 'ovf',
        visibility: 'private',
        properties: {},
      });
      const params = { jobId, imageId, templateRef: template, device: '0', source, format: 'vhd' };
      const args = { params: JSON.stringify({ ...params, glanceUrl: glance.url, tokenSecret: null }) };
      await client.task('host.call_plugin', host?.ref, 'glance', 'put_vdis', args);
      const asked = { params: JSON.stringify({ jobId }) };
      const status = await client.call('host.call_plugin', host?.ref, 'glance', 'status', asked);
      return { imageId, ...JSON.parse(String(status)) };
    },
    async differsFrom(vdiUuid, imageId) {
      const unpacked = join(folder, imageId);
      try {
        const { vhds } = await downloadBundle(glance.url, imageId, unpacked);
        return await (await readChain(vhds)).compareWith(pool.modelPath(vdiUuid));
      } finally {
        for (const each of [unpacked, `${unpacked}.tar.gz`]) await rm(each, { recursive: true, force: true });
        await images.deleteImage(imageId);
      }
    },
    async pluginProcesses() {
      const own = `XENSNAP_DOM0_ROOT=${host?.dom0Root}`;
      const found: number[] = [];
      for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
        const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
        if (environment.split('\0').includes(own)) found.push(Number(pid));
      }
      return found;
    },
    async [Symbol.asyncDispose]() {
      await images.close();
      await pool.close();
      await glance.close();
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
