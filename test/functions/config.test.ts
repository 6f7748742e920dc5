import { expect, it } from 'vitest';
import { parseConfig, poolConfig } from '../../functions/config.ts';
import { readAsl } from '../statemachine/document.ts';

const least = {
  installation: 'prod',
  pools: [{ name: 'demo', addresses: ['https://10.0.0.1'], secretId: 'pool/demo' }],
  glance: { url: 'https://glance.example' },
};

/** A configuration with one pool that has these fields. */
const UUID = 'd6c2e1ba-42f6-4a6c-8f0d-3a1f6b0b5d11';
const withPool = (fields: object) => ({ ...least, pools: [{ ...least.pools[0], ...fields }] });

it('fills in what is not said', () => {
  const config = parseConfig(JSON.stringify(least));
  expect(config).toMatchObject({ relock: 'lock', retainJobsDays: 90, uploadAttempts: 3 });
  expect(config.pools[0]).toMatchObject({
    driver: 'xenapi',
    slotsPerHost: 2,
    hostSlots: {},
    srSlots: {},
    fingerprints: [],
  });
  expect(config.timings).toMatchObject({ coalesceMaxSeconds: 600, admissionRetrySeconds: 900 });
});

it('keeps one timing when another is given', () => {
  const { timings } = parseConfig(JSON.stringify({ ...least, timings: { vmPollSeconds: 5 } }));
  expect(timings).toMatchObject({ vmPollSeconds: 5, snapshotPollSeconds: 5, claimSeconds: 960 });
});

it('gives a VM back within 15 minutes when its host is away', () => {
  const { timings } = parseConfig(JSON.stringify(least));
  // The last look before, the looks until the host is given up, and a call that is not answered in each of the rest.
  const { uploadPollMaxSeconds, hostAwaySeconds, hostAwayPollSeconds } = timings;
  const unanswered = 25;
  const looks = uploadPollMaxSeconds + hostAwaySeconds + hostAwayPollSeconds + 2 * unanswered;
  const cleanup = ['CancelUpload', 'DiscardImage', 'DestroySnapshot', 'RelockVm'].length * unanswered;
  expect(looks + cleanup).toBeLessThanOrEqual(15 * 60);
});

it.each<[string, object, string]>([
  ['an installation that is missing', { ...least, installation: undefined }, 'installation: '],
  ['an installation with a space', { ...least, installation: 'a b' }, 'installation: letters, digits'],
  ['an installation that is too long', { ...least, installation: 'a'.repeat(61) }, 'installation: '],
  ['no pool', { ...least, pools: [] }, 'pools: '],
  ['a pool without a name', withPool({ name: undefined }), 'pools.0.name: '],
  ['a pool whose name has a slash', withPool({ name: 'a/b' }), 'pools.0.name: letters, digits'],
  ['a pool whose name has a #', withPool({ name: 'a#b' }), 'pools.0.name: letters, digits'],
  ['a driver that is not there', withPool({ driver: 'vmware' }), 'pools.0.driver: '],
  ['an address that is no URL', withPool({ addresses: ['10.0.0.1'] }), 'pools.0.addresses.0: '],
  ['an address of another protocol', withPool({ addresses: ['ftp://10.0.0.1'] }), 'pools.0.addresses.0: '],
  [
    'an address with a password',
    withPool({ addresses: ['https://10.0.0.1', 'https://root:hunter2@10.0.0.2'] }),
    'pools.0.addresses.1: a pool member’s address must not hold',
  ],
  [
    'a line that is hidden for longer than its queue takes',
    { ...least, timings: { admissionRetrySeconds: 43_201 } },
    'timings.admissionRetrySeconds: ',
  ],
  ['no slot', withPool({ slotsPerHost: 0 }), 'pools.0.slotsPerHost: '],
  ['half a slot', withPool({ hostSlots: { [UUID]: 1.5 } }), `pools.0.hostSlots.${UUID}: `],
  ['slots of an SR as text', withPool({ srSlots: { [UUID]: '2' } }), `pools.0.srSlots.${UUID}: `],
  ['slots of a host by its name', withPool({ hostSlots: { xen1: 1 } }), 'pools.0.hostSlots.xen1: '],
  [
    'slots of an SR by its name',
    withPool({ srSlots: { 'Local storage': 1 } }),
    'pools.0.srSlots.Local storage: ',
  ],
  ['a password in the clear', withPool({ password: 'x' }), 'pools.0: '],
  ['no Glance', { ...least, glance: undefined }, 'glance: '],
  ['a Glance that is no URL', { ...least, glance: { url: 'glance' } }, 'glance.url: '],
  ['a token in the clear', { ...least, glance: { url: 'http://g', token: 'x' } }, 'glance: '],
  [
    'Keystone without a secret',
    { ...least, glance: { url: 'http://g', keystone: { url: 'http://k' } } },
    'glance.secretId: Keystone needs the secret',
  ],
  ['a project with another field', { ...least, projects: { p: { vms: ['x'] } } }, 'projects.p: '],
  ['another way to relock', { ...least, relock: 'never' }, 'relock: '],
  ['no try', { ...least, uploadAttempts: 0 }, 'uploadAttempts: '],
  ['no time to keep jobs', { ...least, retainJobsDays: 0 }, 'retainJobsDays: '],
  ['a time of nothing', { ...least, timings: { vmPollSeconds: 0 } }, 'timings.vmPollSeconds: '],
  ['a timing that is not there', { ...least, timings: { vmPoll: 5 } }, 'timings: '],
  ['a field that is not there', { ...least, retain: 1 }, 'configuration: '],
])('refuses %s, and names the field', (_what, config, field) => {
  const parse = () => parseConfig(JSON.stringify(config));
  expect(parse).toThrow(`The configuration is wrong. ${field}`);
  expect(parse).toThrow(expect.objectContaining({ name: 'BadRequest' }));
});

it('knows a host’s and an SR’s slots by UUIDs as xapi writes them', () => {
  const pool = withPool({ hostSlots: { [UUID.toUpperCase()]: 3 }, srSlots: { [UUID]: 1 } });
  expect(parseConfig(JSON.stringify(pool)).pools).toMatchObject([
    { hostSlots: { [UUID]: 3 }, srSlots: { [UUID]: 1 } },
  ]);
});

it('names every field that is wrong at once', () => {
  const config = { ...withPool({ slotsPerHost: 0 }), relock: 'x' };
  expect(() => parseConfig(JSON.stringify(config))).toThrow(/pools\.0\.slotsPerHost: .*; relock: /);
});

it('says when the configuration is no JSON, and does not repeat it', () => {
  expect(() => parseConfig('{"password":"hunter2"')).toThrow(/^The configuration is not JSON\.$/);
});

it('finds a pool by its name, or says which there are', () => {
  const config = parseConfig(
    JSON.stringify({ ...least, pools: [...least.pools, { name: 'lab', secretId: 'x' }] }),
  );
  expect(poolConfig(config, 'lab')).toMatchObject({ name: 'lab' });
  expect(() => poolConfig(config, 'x')).toThrow(
    expect.objectContaining({
      name: 'PoolNotFound',
      message: 'There is no pool "x" in the configuration; there is demo, lab.',
    }),
  );
});

it('gives a job less time than the state machine has, and a claim more than a Lambda may take', () => {
  const { timings } = parseConfig(JSON.stringify(least));
  expect(timings.jobMaxSeconds).toBeLessThan(Number(readAsl('snapshot').TimeoutSeconds));
  expect(timings.uploadMaxSeconds).toBeLessThan(timings.jobMaxSeconds);
  expect(timings.claimSeconds).toBeGreaterThan(900);
});
