import { randomBytes } from 'node:crypto';
import type { Session } from '../../xapi/session.ts';
import type { Ref } from '../../xapi/types.ts';
import { GONE, unlessUnknown } from './gone.ts';

/**
 * Those of the addresses that an interface of a VM has, snapshots and templates aside, which take no part in a network.
 * @param except the VM whose own addresses do not count
 */
export async function macsInUse(
  xapi: Session,
  macs: readonly string[],
  except?: Ref<'VM'>,
): Promise<readonly string[]> {
  if (macs.length === 0) return [];
  const wanted = new Set(macs);
  const vifs = Object.values(await xapi.call('VIF.get_all_records_where', 'true'));
  const used = new Set<string>();
  for (const { VM, MAC } of vifs) {
    const mac = MAC.toLowerCase();
    if (VM === except || !wanted.has(mac) || used.has(mac)) continue;
    const vm = await unlessUnknown('VM', VM, () => xapi.call('VM.get_record', VM));
    if (vm !== GONE && !vm.is_a_snapshot && !vm.is_a_template) used.add(mac);
  }
  return [...used];
}

/** An address that nobody else has, as far as chance goes: local, and of one machine. */
export function randomMac(): string {
  const bytes = randomBytes(6);
  bytes.writeUInt8(((bytes[0] ?? 0) | 2) & 0xfe, 0);
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
