import { expect, it } from 'vitest';
import { masterAddress, memberAddress } from '../../xapi/address.ts';

it.each([
  ['https://10.0.0.1', 'https://10.0.0.1'],
  ['http://127.0.0.1:8080/', 'http://127.0.0.1:8080'],
  ['xen1.example.org', 'https://xen1.example.org'],
  ['xen1:8443', 'https://xen1:8443'],
  ['fd00::1', 'https://[fd00::1]'],
])('a member is configured as %s', (text, origin) => {
  expect(memberAddress(text).origin).toBe(origin);
});

it.each(['', 'ftp://xen1', 'https://', 'https://root:secret@xen1'])('%j is no member', (text) => {
  expect(() => memberAddress(text)).toThrow(TypeError);
});

it('an address with a password is refused without repeating it', () => {
  expect(() => memberAddress('https://root:secret@xen1')).toThrow(/^(?!.*secret)/);
});

it.each([
  ['10.0.0.1', 'https://10.0.0.2', 'https://10.0.0.1'],
  ['10.0.0.1', 'http://10.0.0.2:8080', 'http://10.0.0.1:8080'],
  ['fd00::1', 'https://[fd00::2]:8443', 'https://[fd00::1]:8443'],
  ['127.0.0.1:8001', 'http://127.0.0.1:8002', 'http://127.0.0.1:8001'],
  ['http://127.0.0.1:8001', 'http://127.0.0.1:8002', 'http://127.0.0.1:8001'],
  ['http://10.0.0.1', 'https://10.0.0.2', 'https://10.0.0.1'],
])('HOST_IS_SLAVE(%s) from %s means %s', (text, member, master) => {
  expect(masterAddress(text, new URL(member))?.origin).toBe(master);
});

it.each(['', 'not an address', 'https://'])('HOST_IS_SLAVE(%s) names no master', (text) => {
  expect(masterAddress(text, new URL('https://10.0.0.2'))).toBeUndefined();
});
