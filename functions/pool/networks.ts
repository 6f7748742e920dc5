import type { Session } from '../../xapi/session.ts';
import { entriesOf, intOf, type NetworkRecord, type Ref } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import type { VmConfig } from '../vm-config.ts';
import { choicesText } from './choices.ts';

type Nic = VmConfig['nics'][number];

/** Where an interface is to go; without a network it is left out. */
export interface Placed {
  readonly nic: Nic;
  readonly network?: Ref<'network'>;
}

/**
 * Finds the networks of a VM's interfaces: the one that was asked for, else the one of that UUID, else of that name and
 * tag, else of that name alone if it is the only one.
 * @param asked by device, a network's UUID or name
 * @param allowed UUIDs of those that the caller's project may use; all if absent
 */
export async function placeNics(
  xapi: Session,
  nics: readonly Nic[],
  asked: Readonly<Record<string, string>>,
  allowed: readonly string[] | undefined,
): Promise<Placed[]> {
  if (nics.length === 0) return [];
  const all = await networksOf(xapi, allowed);
  const placed: Placed[] = [];
  for (const nic of nics) {
    const wanted = asked[nic.device];
    const network = wanted === undefined ? await likeBefore(xapi, all, nic) : named(all, wanted);
    placed.push(network === undefined ? { nic } : { nic, network });
  }
  return placed;
}

/**
 * Refuses networks that are not there, and interfaces that the VM did not have.
 * @param nics those of the VM, where the image says what VM it was
 * @throws BadRequest, with the device of the first of them
 */
export async function refuseUnknownNetworks(
  xapi: Session,
  asked: Readonly<Record<string, string>>,
  {
    nics,
    allowed,
  }: { readonly nics: readonly Nic[] | undefined; readonly allowed: readonly string[] | undefined },
): Promise<void> {
  const all = await networksOf(xapi, allowed);
  for (const [device, wanted] of Object.entries(asked)) {
    const refuse = (why: string) => new XensnapError('BadRequest', `networks.${device}: ${why}.`);
    if (nics && withoutInterface({ [device]: wanted }, nics).length > 0)
      throw refuse(`the VM had no interface ${device}; ${devicesText(nics)}`);
    const found = ofName(all, wanted);
    if (found.length === 0) {
      const names = all.map(([, { name_label }]) => name_label);
      throw refuse(`the pool has no network "${wanted}" that you may use; ${choicesText(names)}`);
    }
    if (found.length > 1) {
      const uuids = found.map(([, { uuid }]) => uuid).join(', ');
      throw refuse(`${found.length} networks are named "${wanted}". Name one by its UUID: ${uuids}`);
    }
  }
}

/** For those of an image that says only in its data what VM it was. */
export function withoutInterface(asked: Readonly<Record<string, string>>, nics: readonly Nic[]): string[] {
  return Object.keys(asked).filter((device) => nics.every((nic) => nic.device !== device));
}

function devicesText(nics: readonly Nic[]): string {
  return nics.length === 0 ? 'it had none' : `it had ${nics.map(({ device }) => device).join(', ')}`;
}

async function networksOf(xapi: Session, allowed: readonly string[] | undefined): Promise<Networks> {
  const all = entriesOf(await xapi.call('network.get_all_records'));
  return all.filter(([, { uuid }]) => allowed?.includes(uuid) ?? true);
}

type Networks = readonly [Ref<'network'>, NetworkRecord][];

function named(all: Networks, uuidOrName: string): Ref<'network'> | undefined {
  return only(ofName(all, uuidOrName));
}

function ofName(all: Networks, uuidOrName: string): Networks {
  return all.filter(([, { uuid, name_label }]) => uuid === uuidOrName || name_label === uuidOrName);
}

async function likeBefore(
  xapi: Session,
  all: Networks,
  { network: { uuid, name, vlan } }: Nic,
): Promise<Ref<'network'> | undefined> {
  const same = all.find(([, record]) => record.uuid === uuid);
  if (same) return same[0];
  const alike = all.filter(([, { name_label }]) => name !== undefined && name_label === name);
  const ofVlan: [Ref<'network'>, NetworkRecord][] = [];
  for (const each of alike) if ((await vlanOf(xapi, each[1])) === vlan) ofVlan.push(each);
  return only(ofVlan) ?? only(alike);
}

/** Of one network all interfaces of hosts have the same; a private one has none. */
async function vlanOf(xapi: Session, { PIFs: [pif] }: NetworkRecord): Promise<number | undefined> {
  if (pif === undefined) return undefined;
  const vlan = intOf((await xapi.call('PIF.get_record', pif)).VLAN, -1);
  return vlan === -1 ? undefined : vlan;
}

function only(found: Networks): Ref<'network'> | undefined {
  return found.length === 1 ? found[0]?.[0] : undefined;
}
