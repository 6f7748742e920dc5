import { isCode } from '../../xapi/errors.ts';
import type { Session } from '../../xapi/session.ts';
import { entriesOf, intOf, type Ref } from '../../xapi/types.ts';
import { macsInUse, randomMac } from './macs.ts';
import type { Placed } from './networks.ts';

/**
 * Makes a VM's interfaces where their networks are; those that it has already stay as they are.
 * @param keep whether they get the addresses that they had; else those that xapi makes of the VM's seed
 */
export async function makeNics(
  xapi: Session,
  vmRef: Ref<'VM'>,
  placed: readonly Placed[],
  keep: boolean,
): Promise<void> {
  const there = Object.values(await vifsOf(xapi, vmRef)).map(({ device }) => device);
  for (const { nic, network } of placed)
    if (network !== undefined && !there.includes(nic.device))
      await makeVif(xapi, vmRef, {
        device: nic.device,
        network,
        mtu: nic.mtu,
        mac: keep ? (nic.mac ?? '') : '',
      });
}

/**
 * Looks at the addresses once more, after they were made: of two restores that looked before at the same moment, each
 * sees the other now, and those that xapi has made of a seed are known. Answers the devices that have got others.
 * @param usedElsewhere those of the addresses that another pool has
 */
export async function changeMacsInUse(
  xapi: Session,
  vmRef: Ref<'VM'>,
  usedElsewhere: (macs: readonly string[]) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const own = entriesOf(await vifsOf(xapi, vmRef));
  const macs = own.map(([, { MAC }]) => MAC.toLowerCase());
  const used = [...(await macsInUse(xapi, macs, vmRef)), ...(await usedElsewhere(macs))];
  const changed: string[] = [];
  for (const [ref, vif] of own) {
    if (!used.includes(vif.MAC.toLowerCase())) continue;
    const { device, network } = vif;
    await xapi.call('VIF.destroy', ref);
    await makeVif(xapi, vmRef, { device, network, mtu: intOf(vif.MTU), mac: randomMac() });
    changed.push(device);
  }
  return changed;
}

function vifsOf(xapi: Session, vmRef: Ref<'VM'>) {
  return xapi.call('VIF.get_all_records_where', `field "VM" = "${vmRef}"`);
}

async function makeVif(
  xapi: Session,
  VM: Ref<'VM'>,
  { device, network, mtu, mac }: { device: string; network: Ref<'network'>; mtu: number; mac: string },
): Promise<void> {
  try {
    await xapi.call('VIF.create', {
      VM,
      device,
      network,
      MAC: mac,
      MTU: String(mtu),
      other_config: {},
      qos_algorithm_type: '',
      qos_algorithm_params: {},
    });
  } catch (error) {
    // An earlier call made it, whose reply was lost.
    if (!isCode(error, 'DEVICE_ALREADY_EXISTS')) throw error;
  }
}
