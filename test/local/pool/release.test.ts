import { expect, it } from 'vitest';
import { type LocalClock, localClock } from '../../../local/clock.ts';
import { aPool } from './a-pool.ts';
import { request } from './client.ts';

const hasFields = async (release: 'xenserver-7' | '8.2' | '24.16' | 'today') => {
  await using world = await aPool({ release });
  const { pool, client } = world;
  const vm = pool.vm('web-1').ref;
  const record = (await client.call('VM.get_record', vm)) as object;
  const fields = ['domain_type', 'NVRAM', 'groups', 'secureboot_certificates_state'];
  const disk = pool.vm('web-1').rootVdi?.ref;
  await client.call('VDI.add_tags', disk, 'gold');
  const snapshot = await client.call('VDI.snapshot', disk, {});
  const [quiesced] = await client.fails('VM.snapshot_with_quiesce', vm, 'x');
  const [groups] = await client.fails('VM.get_groups', vm);
  const [ignoring] = await client.fails('VM.snapshot', vm, 'x', []);
  const { xapi } = (await client.call('host.get_software_version', pool.hosts[0]?.ref)) as { xapi: string };
  const methods = (await request(pool.url, 'system.listMethods')) as unknown as string[];
  return {
    ...{ xapi, quiesced, groups, ignoring, fields: fields.filter((field) => field in record) },
    tags: await client.call('VDI.get_tags', snapshot),
    listsQuiesce: methods.includes('VM.snapshot_with_quiesce'),
  };
};

it('has the fields and the calls of its release, and no others', async () => {
  const unknown = 'MESSAGE_METHOD_UNKNOWN';
  expect(await hasFields('xenserver-7')).toEqual({
    ...{ xapi: '1.23', quiesced: 'XEN_VSS_REQ_ERROR_NO_VOLUMES_SUPPORTED', groups: unknown },
    ...{ ignoring: 'MESSAGE_PARAMETER_COUNT_MISMATCH', fields: [], tags: [], listsQuiesce: true },
  });
  expect(await hasFields('8.2')).toEqual({
    ...{ xapi: '1.249', quiesced: 'MESSAGE_REMOVED', groups: unknown, listsQuiesce: false },
    ...{ ignoring: 'MESSAGE_PARAMETER_COUNT_MISMATCH', fields: ['domain_type', 'NVRAM'], tags: [] },
  });
  expect(await hasFields('24.16')).toEqual({
    ...{ xapi: '24.16', quiesced: 'MESSAGE_REMOVED', groups: unknown, listsQuiesce: false },
    ...{ ignoring: undefined, fields: ['domain_type', 'NVRAM'], tags: [] },
  });
  expect(await hasFields('today')).toEqual({
    ...{ xapi: '26.17', quiesced: 'MESSAGE_REMOVED', groups: undefined, listsQuiesce: false },
    ...{ ignoring: undefined, tags: ['gold'] },
    fields: ['domain_type', 'NVRAM', 'groups', 'secureboot_certificates_state'],
  });
});

it.each([
  ['at once since 2020', '24.16', []],
  ['after five seconds before', '8.2', [5]],
] as const)('answers a wrong password %s', async (_, release, expected) => {
  const fast = localClock(1000);
  const waits: number[] = [];
  const sleep: LocalClock['sleep'] = (seconds, signal) => {
    waits.push(seconds);
    return fast.sleep(seconds, signal);
  };
  await using world = await aPool({ vms: 0, release, clock: { ...fast, sleep } });
  const login = await request(world.pool.url, 'session.login_with_password', 'root', 'guess');
  expect(login.ErrorDescription?.[0]).toBe('SESSION_AUTHENTICATION_FAILED');
  expect(waits.filter((seconds) => seconds === 5)).toEqual(expected);
});
