import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { SimulatedPool, VmHandle } from '../../../local/pool/pool.ts';
import { readLayer } from '../../support/vhd-layer.ts';
import { readChain } from '../../support/vhd-reader.ts';
import type { TestClient } from './client.ts';

/** The files of a disk by what they say of themselves, leaf first. None of them may be open. */
export async function filesOf(folder: string, vdiUuid: string): Promise<string[]> {
  const file = join(folder, `${vdiUuid}.vhd`);
  const { parentName } = await readLayer(file);
  return parentName === undefined
    ? [file]
    : [file, ...(await filesOf(folder, parentName.replace('.vhd', '')))];
}

/** Whether a disk, put together from its files by a reader of the tests' own, is what its model says. */
export async function isWhole(pool: SimulatedPool, folder: string, vdiUuid: string): Promise<boolean> {
  const chain = await readChain(await filesOf(folder, vdiUuid));
  return (await chain.compareWith(pool.modelPath(vdiUuid))) === null;
}

/** Names in an SR's folder, UUIDs replaced by what they are called here. */
export async function namesIn(folder: string, called: Record<string, string>): Promise<string[]> {
  const names = (await readdir(folder)).map((name) =>
    Object.entries(called).reduce((text, [uuid, short]) => text.replace(uuid, short), name),
  );
  return names.sort();
}

export interface Snapshot {
  readonly vm: string;
  readonly vdi: string;
  readonly uuid: string;
}

/** A snapshot of a VM with one disk. */
export async function snapshotOf(pool: SimulatedPool, client: TestClient, vm: VmHandle): Promise<Snapshot> {
  const taken = String(await client.call('VM.snapshot', vm.ref, 'taken'));
  const [vbd = ''] = pool.record('VM', taken).VBDs as string[];
  const vdi = String(pool.record('VBD', vbd).VDI);
  return { vm: taken, vdi, uuid: String(pool.record('VDI', vdi).uuid) };
}

export async function destroySnapshot(client: TestClient, { vm, vdi }: Snapshot): Promise<void> {
  await client.call('VDI.destroy', vdi);
  await client.call('VM.destroy', vm);
}
