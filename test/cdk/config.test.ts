import { expect, it } from 'vitest';
import { parseSettings } from '../../cdk/config.ts';
import { functionsConfig } from '../../cdk/functions-config.ts';
import { settingsIn } from '../../cdk/settings-file.ts';
import { refuseTooMany, refuseWithin, targetsOf } from '../../cdk/targets.ts';
import { parseConfig } from '../../functions/config.ts';
import { EXAMPLE, TWO_POOLS } from './settings.ts';

const pool = EXAMPLE.pools[0];
const existing = EXAMPLE.network.existing;

it.each([
  ['installation', { ...EXAMPLE, installation: 'a_b' }],
  ['pools', { ...EXAMPLE, pools: [] }],
  ['pools.0.addresses', { ...EXAMPLE, pools: [{ ...pool, addresses: [] }] }],
  ['pools.0.addresses.1', { ...EXAMPLE, pools: [{ ...pool, addresses: ['https://10.0.0.1', 'ten'] }] }],
  [
    'pools.0.secretArn',
    { ...EXAMPLE, pools: [{ ...pool, secretArn: 'arn:aws:secretsmanager:x:1:secret:y' }] },
  ],
  ['pools.0.cidr', { ...EXAMPLE, pools: [{ ...pool, cidr: '10.0.0.0' }] }],
  ['glance', { ...EXAMPLE, glance: undefined }],
  ['glance.url', { ...EXAMPLE, glance: { url: 'glance' } }],
  ['authorisation.type', { ...EXAMPLE, authorisation: { type: 'none' } }],
  ['authorisation.audience', { ...EXAMPLE, authorisation: { type: 'jwt', issuer: 'https://id.example' } }],
  ['glance.keystone', { ...TWO_POOLS, glance: EXAMPLE.glance }],
  ['projects', { ...TWO_POOLS, projects: undefined }],
  ['network', { ...EXAMPLE, network: {} }],
  ['network', { ...EXAMPLE, network: { ...EXAMPLE.network, ...TWO_POOLS.network } }],
  ['network.existing', { ...EXAMPLE, network: { existing: { ...existing, routeTableIds: ['rtb-0a'] } } }],
  ['network.existing.vpcId', { ...EXAMPLE, network: { existing: { ...existing, vpcId: 'main' } } }],
  ['network.new.cidr', { ...TWO_POOLS, network: { new: { cidr: '10.9.0.0' } } }],
  ...['10.0.0.0/15', '10.9.0.0/28', '10.9.0.0/27'].map((cidr): [string, object] => [
    'network.new.cidr',
    { ...TWO_POOLS, network: { new: { cidr, zones: 3 } } },
  ]),
  ['logDays', { ...EXAMPLE, logDays: 10 }],
  ['alarmEmail', { ...EXAMPLE, alarmEmail: 'nobody' }],
  ['retain.table', { ...EXAMPLE, retain: { table: 'keep' } }],
  ['logDays', { ...EXAMPLE, logDays: 0 }],
])('names %s as the field that is wrong', (field, settings) => {
  expect(() => parseSettings(settings)).toThrow(
    expect.objectContaining({ name: 'ConfigurationError', message: expect.stringContaining(` ${field}: `) }),
  );
});

it('takes the network that an address is in where a network is named', () => {
  const { network } = parseSettings({
    ...TWO_POOLS,
    network: {
      new: {
        cidr: '10.9.0.5/24',
        vpn: { customerGatewayIp: '198.51.100.7', routes: ['10.1.2.3/16'] },
        transitGateway: { id: 'tgw-0a', routes: ['10.3.0.1/16'] },
      },
    },
  });
  expect(network.new).toMatchObject({
    cidr: '10.9.0.0/24',
    vpn: { routes: ['10.1.0.0/16'] },
    transitGateway: { routes: ['10.3.0.0/16'] },
  });
  const vpcCidr = '10.20.30.40/16';
  const of = parseSettings({ ...EXAMPLE, network: { existing: { ...existing, vpcCidr } } });
  expect(of.network.existing?.vpcCidr).toBe('10.20.0.0/16');
});

it('refuses a new VPC that holds a pool, which it would look for in itself', () => {
  const targets = targetsOf(parseSettings(TWO_POOLS));
  expect(() => refuseWithin('10.9.0.0/24', targets)).not.toThrow();
  expect(() => refuseWithin('10.1.0.0/16', targets)).toThrow(
    expect.objectContaining({
      name: 'ConfigurationError',
      message: expect.stringContaining('network.new.cidr: pool east is at 10.1.0.11/32'),
    }),
  );
});

it.each([
  ['pools.0.slotsPerHost', { ...EXAMPLE, pools: [{ ...pool, slotsPerHost: 0 }] }],
  ['pools.0: Unrecognized key: "slots"', { ...EXAMPLE, pools: [{ ...pool, slots: 2 }] }],
  ['pools.0.name', { ...EXAMPLE, pools: [{ ...pool, name: 'a/b' }] }],
  ['timings: Unrecognized key: "nap"', { ...EXAMPLE, timings: { nap: 1 } }],
  ['relock', { ...EXAMPLE, relock: 'never' }],
  ['Unrecognized key: "poolz"', { ...EXAMPLE, poolz: [] }],
])('has the functions judge what is theirs: %s', (problem, settings) => {
  expect(() => functionsConfig(parseSettings(settings))).toThrow(
    expect.objectContaining({ name: 'ConfigurationError', message: expect.stringContaining(problem) }),
  );
});

it('hands the names of roles on to the functions, with the usual ones for those that are left out', () => {
  const settings = parseSettings({ ...TWO_POOLS, roles: { reader: ['auditor'] } });
  expect(parseConfig(functionsConfig(settings)).roles).toEqual({
    reader: ['auditor'],
    member: ['member', '_member_'],
    admin: ['admin'],
  });
  expect(() => functionsConfig(parseSettings({ ...TWO_POOLS, roles: { owner: ['x'] } }))).toThrow(/"owner"/);
});

it('takes keys that begin with // for comments, at every depth', () => {
  const commented = { ...EXAMPLE, '//': 'x', pools: [{ ...pool, '// name': 'x' }] };
  expect(parseSettings(commented)).toEqual(parseSettings(EXAMPLE));
  expect(functionsConfig(parseSettings(commented))).not.toContain('//"');
  expect(JSON.stringify(parseSettings(EXAMPLE))).not.toMatch(/"\/\/[^"]*":/);
});

it('reads the settings out of the file that the context names', () => {
  expect(settingsIn(EXAMPLE)).toBe(EXAMPLE);
  const second = parseSettings(settingsIn('docs/new-vpc.example.json'));
  expect(second.pools.map(({ name }) => name)).toEqual(['east', 'west']);
  const functions = parseConfig(functionsConfig(second));
  expect(Object.keys(functions.projects ?? {})).toHaveLength(2);
  expect(targetsOf(second)).toContainEqual({ cidr: '10.2.0.0/28', port: 443, what: 'pool west' });
});

it.each([
  ['nowhere.json', /"nowhere\.json" cannot be read: ENOENT/],
  ['README.md', /"README\.md" cannot be read: /],
])('says which file of settings cannot be read: %s', (file, message) => {
  expect(() => settingsIn(file)).toThrow(
    expect.objectContaining({ name: 'ConfigurationError', message: expect.stringMatching(message) }),
  );
});

it('says where the example is when there is no configuration', () => {
  expect(() => parseSettings(undefined)).toThrow(/cdk\.json/);
});

it('wants the addresses of whatever is called by its name', () => {
  const { glance } = EXAMPLE;
  const named = parseSettings({ ...EXAMPLE, glance: { ...glance, url: 'https://glance.example' } });
  expect(() => targetsOf(named)).toThrow(/glance\.cidr: "glance\.example" is a name/);
});

it('takes addresses and ports out of the URLs, each once', () => {
  const targets = targetsOf(parseSettings(TWO_POOLS)).map(({ cidr, port }) => `${cidr} ${port}`);
  expect(targets).toEqual([
    '10.1.0.11/32 443',
    '10.2.0.0/28 443',
    'fd00:2::/64 443',
    '10.1.0.12/32 8443',
    '10.3.0.5/32 9292',
    '10.3.0.6/32 5000',
  ]);
});

it('lets out in as few prefixes as hold these addresses and no others', () => {
  const addresses = Array.from({ length: 16 }, (_, host) => `https://10.40.0.${host}`);
  const settings = parseSettings({
    ...EXAMPLE,
    pools: [
      { ...pool, name: 'a', addresses },
      { ...pool, name: 'b', addresses: ['https://10.40.0.16', 'https://10.41.0.7'], cidr: '10.40.0.0/15' },
      {
        ...pool,
        name: 'c',
        addresses: ['https://10.50.0.2', 'https://10.50.0.4', 'https://[fd00::2]', 'https://[fd00::3]'],
      },
    ],
  });
  const to443 = targetsOf(settings).filter(({ port }) => port === 443);
  expect(to443).toEqual([
    { cidr: '10.40.0.0/15', port: 443, what: 'pool a, pool b' },
    { cidr: '10.50.0.2/32', port: 443, what: 'pool c' },
    { cidr: '10.50.0.4/32', port: 443, what: 'pool c' },
    { cidr: 'fd00::2/127', port: 443, what: 'pool c' },
  ]);
});

it('refuses an address that is not in the network which its pool is said to be in', () => {
  const settings = parseSettings({
    ...EXAMPLE,
    pools: [{ ...pool, addresses: ['https://10.41.0.1'], cidr: '10.40.0.0/16' }],
  });
  expect(() => targetsOf(settings)).toThrow(/pools\.0\.cidr: 10\.41\.0\.1 is not in 10\.40\.0\.0\/16/);
});

it('refuses more prefixes than a security group takes, and says what to do', () => {
  const scattered = (count: number) => Array.from({ length: count }, (_, host) => `https://10.40.${host}.1`);
  const wants = (count: number, network = {}) => {
    const settings = parseSettings({
      ...EXAMPLE,
      pools: [{ ...pool, addresses: scattered(count) }],
      network: { ...EXAMPLE.network, ...network },
    });
    return () => refuseTooMany(targetsOf(settings), settings);
  };
  // One more is Glance.
  expect(wants(56)).not.toThrow();
  expect(wants(57)).toThrow(
    /need 58 outbound rules for IPv4, and 3 are .* takes 60\. Give .*"cidr".*network\.egressRules/,
  );
  expect(wants(57, { egressRules: 61 })).not.toThrow();
});

it("gives the functions their configuration without what is the stack's", () => {
  const text = functionsConfig(parseSettings(TWO_POOLS));
  expect(parseConfig(text)).toMatchObject({
    installation: 'two-pools',
    relock: 'restore',
    pools: [
      { secretId: TWO_POOLS.pools[0]?.secretArn, srSlots: { 'd6c2e1ba-42f6-4a6c-8f0d-3a1f6b0b5d11': 1 } },
      { driver: 'libvirt' },
    ],
    glance: { keystone: { url: 'https://10.3.0.6:5000' }, secretId: TWO_POOLS.glance.secretArn },
  });
  expect(parseConfig(functionsConfig(parseSettings(EXAMPLE)))).toMatchObject({
    pools: [{ secretId: `pool/${pool?.name}/login` }],
    glance: { secretId: 'glance/login' },
  });
});

it('names both of two pools whose names CloudFormation could not tell apart', () => {
  const pools = ['dc-1', 'dc1'].map((name) => ({ ...pool, name }));
  expect(() => parseSettings({ ...EXAMPLE, pools })).toThrow(
    expect.objectContaining({
      name: 'ConfigurationError',
      message: expect.stringContaining('"dc1" and "dc-1"'),
    }),
  );
  const twice = ['dc1', 'dc1'].map((name) => ({ ...pool, name }));
  expect(() => functionsConfig(parseSettings({ ...EXAMPLE, pools: twice }))).toThrow(
    /pools\.1\.name: there are two pools "dc1"/,
  );
});

it.each([
  ['pools.0.fingerprints.0', { ...EXAMPLE, pools: [{ ...pool, fingerprints: ['x'] }] }],
  ['pools.0.ca', { ...EXAMPLE, pools: [{ ...pool, ca: 'no PEM' }] }],
  ['glance.fingerprint', { ...EXAMPLE, glance: { ...EXAMPLE.glance, fingerprint: 'AB:CD' } }],
  ['glance.ca', { ...EXAMPLE, glance: { ...EXAMPLE.glance, ca: '-----BEGIN CERTIFICATE-----\n' } }],
  [
    'glance.keystone.fingerprint',
    { ...EXAMPLE, glance: { ...EXAMPLE.glance, keystone: { url: 'https://10.0.0.1', fingerprint: '' } } },
  ],
  [
    'glance.keystone.ca',
    { ...EXAMPLE, glance: { ...EXAMPLE.glance, keystone: { url: 'https://10.0.0.1', ca: 'x' } } },
  ],
])('does not deploy trust in what is no certificate: %s', (field, settings) => {
  expect(() => functionsConfig(parseSettings(settings))).toThrow(
    expect.objectContaining({ name: 'ConfigurationError', message: expect.stringContaining(` ${field}: `) }),
  );
});
