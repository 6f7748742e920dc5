import { XensnapError } from '../errors.ts';
import { macsInUse } from '../pool/macs.ts';
import { placeNics, withoutInterface } from '../pool/networks.ts';
import { changeMacsInUse, makeNics } from '../pool/restored-nics.ts';
import {
  addVtpm,
  attachDisk,
  type MadeVm,
  setBiosStrings,
  vmRecordOf,
  vmsMadeBy,
} from '../pool/restored-vm.ts';
import { blockStart } from '../pool/start-block.ts';
import { allowedToRestore } from '../projects.ts';
import { vmConfigOf, vmNameOf } from '../restored.ts';
import { type DepsOf, mayArrive, owe, record, step } from '../step.ts';
import { isReplyLost, translate } from '../translate.ts';
import type { VmConfig } from '../vm-config.ts';

type Deps = DepsOf<'CreateVm', 'diskRef' | 'imageName'>;

/**
 * Makes the VM that the image says it is of, with its start blocked, and gives it disk, drive, interfaces and vTPM. Each
 * part looks first for what an earlier run of the step has made.
 */
export const handler = step('CreateVm', { needs: ['diskRef', 'imageName'] }, async (_state, deps) => {
  const { job, store } = deps;
  const { disksOnly, test = false } = job.request;
  if (disksOnly) return { test };
  const config = vmConfigOf(job);
  if (!config) {
    await store.jobs.warn(job.id, NO_CONFIG, NO_CONFIG);
    return { test };
  }
  const vm = await findOrMake(deps, config);
  await complete(deps, vm, config);
  return { test };
});

const NO_CONFIG = 'The image does not say what VM it was of, so that only its disk was restored.';

async function findOrMake(deps: Deps, config: VmConfig): Promise<MadeVm> {
  const { job, xapi, store } = deps;
  const { installation } = deps.config;
  const [found] = job.vmSentAt === undefined ? [] : await vmsMadeBy(xapi, job, installation);
  if (found) return onRecord(deps, found);
  if (mayArrive(deps, job.vmSentAt))
    throw new XensnapError(
      'XapiReplyLost',
      'The call that makes the VM got no answer; it may still make one.',
    );
  const keep = await keepsMacs(deps, config);
  await owe(deps, 'vm', {
    vmSentAt: deps.clock.now().toISOString(),
    restoredMacs: keep ? 'kept' : 'new',
    vmName: vmNameOf(job),
  });
  const wish = { installation, macSeed: keep ? config.macSeed : undefined };
  const ref = await xapi.call('VM.create', vmRecordOf(job, config, wish)).catch(async (error: unknown) => {
    // Refused, or never sent: it may be sent again.
    if (!isReplyLost(error)) await store.jobs.record(job.id, {}, ['vmSentAt']);
    throw error;
  });
  return onRecord(deps, { ref, record: await xapi.call('VM.get_record', ref) });
}

async function onRecord(deps: Deps, vm: MadeVm): Promise<MadeVm> {
  await record(deps, { vmRef: vm.ref, restoredVmUuid: vm.record.uuid });
  return vm;
}

async function complete(deps: Deps, vm: MadeVm, config: VmConfig): Promise<void> {
  const { job, xapi, store } = deps;
  const warn = (text: string) => store.jobs.warn(job.id, text, text);
  await blockStart(xapi, vm.ref, job.id);
  const noBios = await setBiosStrings(xapi, vm.ref, config);
  if (noBios !== undefined) await warn('The BIOS strings of the VM could not be set: the pool has its own.');
  await attachDisk(xapi, vm.ref, job.diskRef, config);
  if (!job.request.test) await connect(deps, vm, config);
  if (!config.vtpm) return;
  const noVtpm = await addVtpm(xapi, vm);
  await warn(noVtpm === undefined ? EMPTY_VTPM : NO_VTPM);
}

/** Puts the VM on its networks. One that is made for a test never is on any. */
async function connect(deps: Deps, vm: MadeVm, config: VmConfig): Promise<void> {
  const { job, xapi, store } = deps;
  const warn = (text: string) => store.jobs.warn(job.id, text, text);
  const allowed = allowedToRestore(job.project, deps.config)?.networks;
  const placed = await placeNics(xapi, config.nics, job.request.networks ?? {}, allowed);
  for (const { nic, network } of placed)
    if (network === undefined)
      await warn(`The interface ${nic.device} was left out: the pool has no network as its own was.`);
  // Where the image's properties have no room for a description, the request could not know it.
  for (const device of withoutInterface(job.request.networks ?? {}, config.nics))
    await warn(`No interface ${device} was put on a network: the VM had none there.`);
  const { restoredMacs } = (await store.jobs.restore(job.id)) ?? job;
  await makeNics(xapi, vm.ref, placed, restoredMacs === 'kept');
  if (job.request.macs === 'keep') return;
  const elsewhere = async (macs: readonly string[]) => {
    // New ones are random.
    const used = restoredMacs === 'kept' ? await usedElsewhere(deps, macs) : [];
    return used === 'unknown' ? macs : used;
  };
  for (const device of await changeMacsInUse(xapi, vm.ref, elsewhere))
    await warn(`The interface ${device} has a new MAC address: another VM has the one that it had.`);
}

const EMPTY_VTPM =
  'The virtual TPM is a new one: what the old one held cannot be read. A guest that keeps keys in it (BitLocker) asks for its recovery key.';
const NO_VTPM = 'The VM had a virtual TPM, and this pool makes none.';

/** Whether the VM keeps its addresses: as asked, or where no VM of any pool has one of them. */
async function keepsMacs(deps: Deps, { nics }: VmConfig): Promise<boolean> {
  const { job, xapi, store } = deps;
  const { macs, test } = job.request;
  if (test) return false;
  if (macs !== 'auto') return macs === 'keep';
  const own = nics.flatMap(({ mac }) => mac ?? []);
  const used = (await macsInUse(xapi, own)).length > 0 ? own : await usedElsewhere(deps, own);
  if (used === 'unknown') return false;
  if (used.length === 0) return true;
  await store.jobs.warn(job.id, MACS_IN_USE, MACS_IN_USE);
  return false;
}

/** Those of the addresses that a VM of another pool has. A pool that does not answer may have any, which is a warning. */
async function usedElsewhere(
  { job, store, ...deps }: Deps,
  macs: readonly string[],
): Promise<readonly string[] | 'unknown'> {
  const found: string[] = [];
  for (const { name, driver } of deps.config.pools) {
    if (driver !== 'xenapi' || name === job.pool) continue;
    try {
      const look = { seconds: OTHER_POOL_SECONDS };
      found.push(...(await deps.withSession(name, (other) => macsInUse(other, macs), look)));
    } catch (error) {
      const reason = translate(error).message;
      deps.log.warn('a pool could not be asked for MAC addresses', { pool: name, reason });
      await store.jobs.warn(job.id, MACS_UNKNOWN, MACS_UNKNOWN);
      return 'unknown';
    }
  }
  return found;
}

/** For the look into each other pool: a step has two minutes for everything. */
const OTHER_POOL_SECONDS = 15;
const MACS_IN_USE = 'The VM has new MAC addresses: another VM has those that it had.';
const MACS_UNKNOWN =
  'The VM has new MAC addresses: a pool did not say whether another VM has those that it had.';
