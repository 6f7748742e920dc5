import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Scenario, scenario } from '../support/scenario.ts';

const glanceUrl = process.env.XENSNAP_GLANCE_URL ?? '';

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

const closing: (() => Promise<unknown>)[] = [];
let running: Scenario;
let openstack: (...args: string[]) => Promise<Outcome>;

/** Debian's openstackclient, unchanged, against the local service and a real Glance. */
beforeAll(async () => {
  running = await scenario({
    pool: { vms: 2, gcQuietSeconds: 1e6 },
    service: { glance: { url: glanceUrl }, timings: { coalesceMaxSeconds: 3, uploadRetrySeconds: 1 } },
    atEnd: (close) => void closing.unshift(close),
    // Jobs that the client did not wait for may still be at work.
    leaves: 'unknown',
  });
  const compute = `${running.service.apiUrl}/v2.1`;
  const cloud = {
    auth_type: 'admin_token',
    auth: { endpoint: compute, token: running.service.token },
    compute_endpoint_override: compute,
    image_endpoint_override: glanceUrl,
  };
  const file = join(running.folder, 'clouds.yaml');
  await writeFile(file, JSON.stringify({ clouds: { xensnap: cloud } }));
  const env = {
    PATH: '/usr/bin:/bin',
    HOME: running.folder,
    OS_CLIENT_CONFIG_FILE: file,
    OS_CLOUD: 'xensnap',
  };
  openstack = (...args) =>
    new Promise((resolve) => {
      // Not waited for in this thread, which serves what it asks.
      execFile('/usr/bin/openstack', args, { env, timeout: 300_000 }, (failure, out, error) =>
        resolve({ code: failure ? Number(failure.code ?? 1) : 0, out, error }),
      );
    });
});
afterAll(async () => {
  for (const image of await imagesOf())
    await fetch(`${glanceUrl}/v2/images/${image.id}`, { method: 'DELETE' });
  for (const close of closing) await close();
});

type Image = Record<string, unknown> & { readonly id: string };

async function imagesOf(): Promise<Image[]> {
  const response = await fetch(`${glanceUrl}/v2/images?limit=100`);
  const { images } = (await response.json()) as { images: Image[] };
  return images.filter((image) => running.pool.vms().some(({ uuid }) => uuid === image.instance_uuid));
}

async function json(...args: string[]): Promise<unknown> {
  const { code, out, error } = await openstack(...args, '-f', 'json');
  expect([code, error]).toEqual([0, expect.not.stringContaining('Traceback')]);
  return JSON.parse(out);
}

it('lists servers and shows one', { timeout: 600_000 }, async () => {
  const [web1, web2] = running.pool.vms();
  const listed = (await json('server', 'list')) as Record<string, unknown>[];
  expect(listed.map((server) => server.ID).sort()).toEqual([web1?.uuid, web2?.uuid].sort());
  expect(listed[0]).toMatchObject({ Status: 'ACTIVE', Flavor: '2vcpu-1024mib-1gib' });
  expect(await json('server', 'show', web1?.name ?? '')).toMatchObject({
    id: web1?.uuid,
    name: web1?.name,
    status: 'ACTIVE',
    'OS-EXT-STS:task_state': null,
  });
  expect(await json('server', 'list', '--all-projects', '--name', `^${web1?.name}$`)).toMatchObject([
    { ID: web1?.uuid },
  ]);
  const refused = await openstack('server', 'list', '--host', 'xen1');
  expect(refused.code).toBe(1);
  expect(refused.error).toContain("Additional properties are not allowed ('host' was unexpected)");
  expect(await json('flavor', 'list')).toMatchObject([{ ID: '2vcpu-1024mib-1gib', RAM: 1024, VCPUs: 2 }]);
});

it('takes an image of a server and waits until it is active', { timeout: 600_000 }, async () => {
  const [vm] = running.pool.vms();
  const name = `osc-${randomUUID()}`;
  const args = ['server', 'image', 'create', '--name', name, '--property', 'team=blue', '--wait'];
  const { code, error } = await openstack(...args, vm?.name ?? '');
  expect([code, error]).toEqual([0, expect.any(String)]);
  expect(await json('image', 'show', name)).toMatchObject({
    name,
    status: 'active',
    disk_format: 'vhd',
    properties: { image_type: 'snapshot', instance_uuid: vm?.uuid, team: 'blue', xensnap_verified: 'true' },
  });
  await running.job((await imagesOf())[0]?.id ?? '');
  expect(await running.leftBehind()).toEqual([]);
});

it('makes backups that replace the oldest', { timeout: 600_000 }, async () => {
  const vm = running.pool.vms()[1];
  const names = [1, 2, 3].map((n) => `backup-${n}-${randomUUID()}`);
  for (const name of names) {
    const args = ['server', 'backup', 'create', '--name', name, '--type', 'daily', '--rotate', '2', '--wait'];
    const { code, error } = await openstack(...args, vm?.uuid ?? '');
    expect([code, error]).toEqual([0, expect.any(String)]);
    // It is active before its job is over.
    for (const image of await imagesOf()) await running.job(image.id);
  }
  const backups = (await imagesOf()).filter((image) => image.image_type === 'backup');
  expect(backups.map((image) => image.name).sort()).toEqual(names.slice(1).sort());
  for (const image of backups)
    expect(image).toMatchObject({ status: 'active', backup_type: 'daily', instance_uuid: vm?.uuid });
  expect(await running.leftBehind()).toEqual([]);
});

it('fails as at Nova: for an unknown server, and for one that is busy', { timeout: 600_000 }, async () => {
  const unknown = await openstack('server', 'image', 'create', '--name', 'x', 'no-such-server');
  expect(unknown.code).toBe(1);
  expect(unknown.error).toMatch(/No Server found for no-such-server|No server with a name or ID/i);
  const [vm] = running.pool.vms();
  const before = (await imagesOf()).length;
  const held = Promise.withResolvers<void>();
  const takeBack = running.pool.faults.add({ method: 'VM.snapshot', hold: held.promise });
  const first = await running.request(vm?.uuid ?? '');
  await running.job(first, ({ phase }) => phase === 'PollSnapshot');
  const busy = await openstack('server', 'image', 'create', '--name', 'x', vm?.uuid ?? '');
  expect(busy.code).toBe(1);
  expect(busy.error).toContain(
    `Cannot 'createImage' instance ${vm?.uuid} while it is in task_state image_snapshot`,
  );
  held.resolve();
  takeBack();
  await running.job(first);
  expect((await imagesOf()).length).toBe(before + 1);
});

it('ends its wait when the job fails', { timeout: 600_000 }, async () => {
  const [vm] = running.pool.vms();
  const takeBack = running.pool.faults.add({
    method: 'VM.snapshot',
    code: 'SR_BACKEND_FAILURE_44',
    params: ['', 'no space', ''],
  });
  const { code, error } = await openstack(
    'server',
    'image',
    'create',
    '--name',
    'doomed',
    '--wait',
    vm?.uuid ?? '',
  );
  takeBack();
  expect(code).toBe(1);
  expect(error).not.toBe('');
  expect((await imagesOf()).filter((image) => image.name === 'doomed')).toEqual([]);
});
