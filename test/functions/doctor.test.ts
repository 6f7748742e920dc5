import { X509Certificate } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import type { Check } from '../../functions/doctor/check.ts';
import { judgeStorage } from '../../functions/doctor/pool.ts';
import type { DoctorReport } from '../../functions/doctor.ts';
import { localClock } from '../../local/clock.ts';
import { CREDENTIAL, stubKeystone } from '../glance-client/stub-keystone.ts';
import { selfSigned } from '../xapi/raw-server.ts';
import { type ServedApi, serveApi } from './api/served-api.ts';

const pluginFile = fileURLToPath(new URL('../../plugin/glance', import.meta.url));

/** The doctor's report on a served API; `about` is the one check whose text begins so. */
async function examine(settings: Parameters<typeof serveApi>[0] = {}, prepare?: (api: ServedApi) => unknown) {
  const api = await serveApi({
    ...settings,
    pool: { vms: 0, hosts: 2, pluginFile, ...settings.pool },
    api: { queueDepth: async () => ({ waiting: 3, inFlight: 1 }), ...settings.api },
  });
  onTestFinished(() => api[Symbol.asyncDispose]());
  await prepare?.(api);
  const { status, body } = await api.ask('GET', '/doctor');
  expect(status).toBe(200);
  const report: DoctorReport = body;
  const about = (what: string): Check | undefined => {
    const found = report.checks.filter((each) => `${each.area}: ${each.what}`.startsWith(what));
    expect(found.length, what).toBeLessThan(2);
    return found[0];
  };
  return { api, report, about };
}

it('tells how jobs last found a pool, and until when they are paused', async () => {
  const until = new Date(Date.now() + 60_000);
  const { report, about } = await examine({}, async ({ runtime }) => {
    for (let n = 0; n < 3; n += 1)
      await runtime.store.pools.unreachable('demo', 'http://10.0.0.9: no answer', until);
  });
  expect(about('pool demo: jobs')).toMatchObject({
    status: 'warning',
    found: `Could not reach the pool 3 times in a row: http://10.0.0.9: no answer. They are paused until ${until.toISOString()}.`,
  });
  expect(report.status).toBe('warning');
});

it('names the hosts and SRs with slots of their own that the pool has not', async () => {
  const gone = '4e8f6c0a-93d1-4b57-8a2e-6d1c0f7b9e35';
  const withSlots = (hostSlots: object, srSlots: object) =>
    examine({}, ({ runtime }) => void Object.assign(runtime.config.pools[0] ?? {}, { hostSlots, srSlots }));
  expect((await withSlots({}, {})).about('pool demo: slots')).toBeUndefined();
  expect((await withSlots({ [gone]: 1 }, { [gone]: 2 })).about('pool demo: slots')).toMatchObject({
    status: 'warning',
    found: `The pool has none of these: hostSlots.${gone}, srSlots.${gone}.`,
  });
  const { about } = await examine({}, ({ runtime, pool }) => {
    const [host, sr] = [pool.hosts[0]?.uuid ?? '', pool.srs[0]?.uuid ?? ''];
    Object.assign(runtime.config.pools[0] ?? {}, { hostSlots: { [host]: 1 }, srSlots: { [sr]: 2 } });
  });
  expect(about('pool demo: slots')).toMatchObject({ status: 'ok' });
});

it('finds all well, and leaves nothing behind', async () => {
  const tls = selfSigned('xen1');
  const { report, api } = await examine({ pool: { tls } }, ({ runtime, pool }) => {
    const [demo] = runtime.config.pools;
    if (demo) demo.fingerprints = [new X509Certificate(tls.cert).fingerprint256];
    if (demo) demo.addresses = [pool.url, ...pool.memberUrls];
  });
  const [one, two] = [api.pool.url, ...api.pool.memberUrls];
  expect(
    report.checks.map(({ area, what, status, found }) => `${area}: ${what}: ${status}: ${found}`),
  ).toEqual([
    'service: table: ok: Writes and reads.',
    'service: queue: ok: Answers: 3 waiting, 1 being looked at.',
    `Glance: ${api.glance.url}: ok: Answers, and takes our token; its newest API is v2.15.`,
    'Glance: writing: ok: A record was made and deleted.',
    'Glance: hash: ok: There is no image yet to tell from; sha512 is the default.',
    'pool demo: jobs: ok: Reached the pool the last time.',
    `pool demo: member ${one}: ok: xapi answers, with a certificate that the fingerprint vouches for.`,
    `pool demo: member ${two}: ok: xapi answers, with a certificate that the fingerprint vouches for.`,
    expect.stringMatching(/^pool demo: login: ok: 2 hosts, .+\.$/),
    'pool demo: role: ok: The account may call plugins.',
    expect.stringMatching(/^pool demo: plugin on \S+: ok: Version \d+\.\d+\.\d+\.$/),
    expect.stringMatching(/^pool demo: clock of \S+: ok: \d+ s apart from ours\.$/),
    expect.stringMatching(/^pool demo: plugin on \S+: ok: Version \d+\.\d+\.\d+\.$/),
    expect.stringMatching(/^pool demo: clock of \S+: ok: \d+ s apart from ours\.$/),
    expect.stringMatching(/^pool demo: storage: ok: All can be imaged: /),
    'pool demo: root disks: ok: It is clear from which disk each VM boots.',
  ]);
  expect(report.status).toBe('ok');
  expect(report.checks.every(({ advice, error }) => advice === null && error === null)).toBe(true);
  expect(api.glance.images()).toEqual([]);
  expect(api.pool.records('session')).toEqual({});
});

it('warns of a member without TLS', async () => {
  const { report, about } = await examine();
  expect(about('pool demo: member')).toMatchObject({
    status: 'warning',
    found: expect.stringContaining('without TLS'),
  });
  expect(report.status).toBe('warning');
});

it('tells a member that is away from one that answers', async () => {
  const { about, report } = await examine({}, ({ runtime, pool }) => {
    const [demo] = runtime.config.pools;
    if (demo) demo.addresses = [pool.url, 'http://127.0.0.1:9'];
  });
  expect(about('pool demo: member http://127.0.0.1:9')).toMatchObject({
    status: 'failed',
    error: 'PoolUnreachable',
    advice: expect.stringContaining('security group'),
  });
  expect(about('pool demo: login')?.status).toBe('ok');
  expect(report.status).toBe('failed');
});

it('looks at the members that the pool named, and only warns of one that could not take over', async () => {
  const { about, report, api } = await examine({}, ({ runtime, pool }) =>
    runtime.store.pools.keepMembers('demo', {
      members: [pool.url, ...pool.memberUrls, 'http://127.0.0.1:9'],
      pool: Object.values(pool.records('pool'))[0]?.uuid as string,
      master: pool.url,
    }),
  );
  expect(about(`pool demo: member ${api.pool.memberUrls[0]}, which`)?.found).toContain('xapi answers');
  expect(about('pool demo: member http://127.0.0.1:9, which the pool named')).toMatchObject({
    status: 'warning',
    error: 'PoolUnreachable',
    advice: expect.stringMatching(
      /^The pool can't be reached if this one becomes its master\. .*security group/,
    ),
  });
  expect(report.status).toBe('warning');
});

it('names the certificate that a member shows in place of the pinned one', async () => {
  const tls = selfSigned('xen1');
  const { about } = await examine({ pool: { tls, hosts: 1 } }, ({ runtime }) => {
    const [demo] = runtime.config.pools;
    if (demo) demo.fingerprints = ['ab'.repeat(32)];
  });
  const { fingerprint256 } = new X509Certificate(tls.cert);
  expect(about('pool demo: member')).toMatchObject({
    error: 'PoolCertificateMismatch',
    found: expect.stringContaining(fingerprint256),
    advice: expect.stringContaining('`fingerprints`'),
  });
  expect(about('pool demo: login')?.error).toBe('PoolCertificateMismatch');
});

it.each([
  [
    '{"username":"root","password":"planted-wrong"}',
    'PoolLoginRefused',
    /into the pool's secret .*--password-file/,
  ],
  ['planted-no-json', 'SecretUnusable', /holds no JSON object\. Write it anew/],
  ['7', 'SecretUnusable', /holds no JSON object/],
])('says what is wrong with the secret %s, without showing it', async (secret, error, found) => {
  const { about, api, report } = await examine({ secret });
  expect(about('pool demo: login')).toMatchObject({
    status: 'failed',
    error,
    found: expect.stringMatching(found),
  });
  expect(about('pool demo: role')).toBeUndefined();
  expect(JSON.stringify([report, api.log])).not.toContain('planted');
});

it('says on which host the plugin is missing or another one, and which role is missing', async () => {
  const { about } = await examine({}, async ({ pool }) => {
    const [one, two] = pool.hosts;
    await pool.installPlugin(one?.uuid ?? '', null);
    pool.setHost(two?.uuid ?? '', { live: false });
  });
  const checks = ['xen1', 'xen2'].map((name) => about(`pool demo: plugin on ${name}`));
  expect(checks.map((each) => each?.error)).toEqual(['PluginMissing', 'XapiBusy']);
  expect(checks[0]?.advice).toContain('plugin/README.md');
  expect(about('pool demo: role')?.status).toBe('ok');
  const denied = await examine({}, ({ pool }) =>
    pool.faults.add({
      method: 'host.call_plugin',
      code: 'RBAC_PERMISSION_DENIED',
      params: ['host.call_plugin', 'x'],
    }),
  );
  expect(denied.about('pool demo: role')).toMatchObject({
    status: 'failed',
    advice: expect.stringContaining('role-name=pool-admin'),
  });
});

it('names the VMs of which it is not clear from which disk they boot, as many as can be read', async () => {
  const { about } = await examine({ pool: { hosts: 1 } }, async ({ pool }) => {
    await pool.addVm({ name: 'clear' });
    await pool.addVm({ name: 'diskless', kind: 'noDisk' });
    for (let n = 1; n <= 7; n++)
      await pool.addVm({ name: `two-${n}`, disks: [{ mib: 2 }, { mib: 2, bootable: true }] });
  });
  const found = about('pool demo: root disks');
  expect(found).toMatchObject({ status: 'warning', advice: expect.stringContaining('--device') });
  expect(found?.found).toMatch(/"two-\d" \(2 are marked bootable\).* and 2 more\.$/);
  expect(found?.found).not.toMatch(/clear"|diskless/);
});

it('warns of a clock that is more than a minute apart', async () => {
  const clock = { ...localClock(), now: () => new Date(Date.now() + 90_000) };
  const { about } = await examine({ pool: { hosts: 1, clock } });
  expect(about('pool demo: clock')).toMatchObject({
    status: 'warning',
    found: expect.stringMatching(/^\d+ s ahead of ours\.$/),
    advice: expect.stringContaining('NTP'),
  });
});

it.each<[string[], string, string]>([
  [['ext', 'iso', 'udev'], 'ok', 'All can be imaged: "ext" (ext).'],
  [['lvm', 'lvmoiscsi'], 'ok', 'All can be imaged: "lvm" (lvm), "lvmoiscsi" (lvmoiscsi).'],
  [
    ['nfs', 'rawhba'],
    'warning',
    `Root disks on "rawhba" (rawhba) can't be imaged; those on "nfs" (nfs) can.`,
  ],
  [['rawhba', 'iso'], 'failed', 'None that can be imaged: "rawhba" (rawhba).'],
  [['iso'], 'failed', 'There is no SR for disks.'],
])('judges SRs of the types %j as %s', (types, status, found) => {
  const { advice, ...judged } = judgeStorage(
    types.map((type) => ({
      name_label: type,
      type,
      allowed_operations: type === 'rawhba' ? ['scan'] : ['scan', 'vdi_snapshot'],
      current_operations: {},
    })),
  );
  expect({ status: 'ok', ...judged }).toEqual({ status, found });
  expect(advice === undefined).toBe(status === 'ok');
});

it('says that Glance or Keystone does not answer or does not take the token', async () => {
  const away = await examine({ config: { glance: { url: 'http://127.0.0.1:9' } } });
  expect(away.about('Glance: http://127.0.0.1:9')?.error).toBe('GlanceUnavailable');
  expect(away.about('Glance: writing')).toBeUndefined();
  const refused = await examine({ glance: { token: 'right' } });
  expect(refused.about(`Glance: ${refused.api.glance.url}`)?.error).toBe('GlanceUnauthorized');
  const keystone = await stubKeystone();
  const behind = await examine({
    config: { glance: { keystone: { url: keystone.url }, secretId: 'glance' } },
    secrets: { glance: JSON.stringify({ ...CREDENTIAL, secret: 'planted-wrong' }) },
  });
  expect(behind.about('Keystone: ')).toMatchObject({ status: 'failed', error: 'KeystoneUnauthorized' });
  expect(JSON.stringify(behind.report)).not.toContain('planted');
});

it('says that Keystone does not answer, although a token of it is still good', async () => {
  const keystone = await stubKeystone();
  const token = 'given-before';
  keystone.next.push(token);
  const { about } = await examine(
    {
      glance: { token },
      config: { glance: { keystone: { url: keystone.url }, secretId: 'glance' } },
      secrets: { glance: JSON.stringify(CREDENTIAL) },
    },
    async ({ runtime }) => {
      await runtime.glance.check();
      keystone.answer = (_req, res) => res.writeHead(503).end();
    },
  );
  expect(about('Keystone: ')).toMatchObject({ status: 'failed', error: 'KeystoneUnavailable' });
  expect(about('Glance: http')?.status).toBe('ok');
});

it('says that Glance takes no record', async () => {
  const { about } = await examine({}, ({ glance }) =>
    glance.faults.add({ method: 'POST', path: /\/v2\/images$/, status: 403, body: 'no' }),
  );
  expect(about('Glance: writing')).toMatchObject({
    error: 'GlanceForbidden',
    advice: expect.stringContaining('role'),
  });
});

it('leaves the queue out where there is no way to it, and says what AWS refused', async () => {
  const without = await examine({ api: { queueDepth: undefined } });
  expect(without.about('service: queue')).toBeUndefined();
  const refusal = Object.assign(new Error('secret arn'), {
    name: 'AccessDeniedException',
    $fault: 'client',
    $metadata: { httpStatusCode: 400 },
  });
  const denied = await examine({ api: { queueDepth: () => Promise.reject(refusal) } });
  expect(denied.about('service: queue')).toMatchObject({
    status: 'failed',
    found: 'AWS answered AccessDeniedException.',
    advice: "Look at the function's rights.",
  });
});

it('says of a libvirt pool that it is not implemented', async () => {
  const { report } = await examine({ config: { pools: [{ name: 'kvm', driver: 'libvirt' }] } });
  expect(report.checks.find(({ area }) => area === 'pool kvm')).toMatchObject({
    status: 'warning',
    what: 'driver',
  });
});
