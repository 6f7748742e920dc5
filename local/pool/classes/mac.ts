import { createHash } from 'node:crypto';

function md5(bytes: string | Buffer): Buffer {
  return createHash('md5').update(bytes).digest();
}

/** The address that a VM's seed makes for a device: the same one for ever (xapi_vif_helpers.ml, gen_mac). */
export function deriveMac(seed: string, device: number): string {
  let hashed: Buffer = md5(seed);
  for (let left = 2 * device; left > 0; left -= 1) hashed = md5(hashed);
  const bytes = Buffer.concat([hashed.subarray(0, 4), md5(hashed).subarray(1, 3)]);
  // Local, and of one machine.
  bytes.writeUInt8(((bytes[0] ?? 0) | 2) & 0xfe, 0);
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** Six pairs of hexadecimal digits, in either case (helpers.ml, is_valid_MAC); also one of a group. */
export function isMac(text: string): boolean {
  return /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text);
}
