import { XensnapError } from '../errors.ts';
import { whyNotExchanged } from '../into-vm.ts';
import { isSwapped, orAsItWas, type SwappedJob } from '../job.ts';
import { attachmentsOf } from '../pool/control-domain.ts';
import { type Exchanged, exchange } from '../pool/exchange.ts';
import { byUuid } from '../pool/gone.ts';
import { keep, keepNoMore } from '../pool/kept.ts';
import { lookAt } from '../pool/position.ts';
import { awaitGuest, endShutdown } from '../pool/shut-down.ts';
import { blockStart, unblockStart } from '../pool/start-block.ts';
import { NOT_STARTED, startOrWarn } from '../pool/start-vm.ts';
import { keptNameOf } from '../restored.ts';
import { type DepsOf, mayArrive, step } from '../step.ts';

type Deps = DepsOf<'SettleSwap'>;

/**
 * Brings the exchange of a VM's disk to its end: back to the one that it had, unless the restore is committed and is not
 * to be undone. Then the VM may start again, and does if it ran before. Pays `swap` once a look has proved it. No disk is
 * destroyed here.
 * @throws StillOwed while the VM does not stand still
 */
export async function settleSwap(deps: Deps): Promise<void> {
  const job = orAsItWas(await deps.store.jobs.get(deps.job.id), deps.job);
  if (!job.debts?.has('swap') || !isSwapped(job)) return;
  const now = { ...deps, job };
  if (!job.committed) await putBack(now, job);
  else if (job.undoing) await undo(now, job);
  else await keepOld(now, job);
}

export const handler = step('SettleSwap', { needs: [] }, async (_state, deps) => {
  await settleSwap(deps);
  return undefined;
});

/** It has come to nothing: the VM gets the disk that it had, before the other one may go. */
async function putBack(deps: Deps, job: SwappedJob): Promise<void> {
  await endShutdown(deps);
  await refuseWhileUnderWay(deps, job);
  const ended = await exchangeFor(deps, job, 'old');
  if (ended === 'not halted')
    throw new XensnapError(
      'StillOwed',
      `The VM "${job.into.name}" runs from the disk that was restored: it gets its own back once it is halted.`,
    );
  if (ended !== 'done') await warnOf(deps, ended, job);
  // It is as it was, and may start, whoever starts it.
  await letStart(deps, job, false, '');
  const isAsked = await awaitGuest(deps, job, (await lookAt(deps.xapi, job.into))?.vm);
  await letStart(deps, job, job.vmBefore.running && isAsked, NOT_STARTED_AGAIN);
  await deps.store.jobs.pay(job.id, 'swap');
}

/**
 * The call that takes the disk out may still be on its way, where its answer was lost: a disk that is seen now could be
 * gone the next moment. What was put back since has another attachment.
 * @throws StillOwed
 */
async function refuseWhileUnderWay(deps: Deps, { into, vmBefore, swapSentAt }: SwappedJob): Promise<void> {
  if (!mayArrive(deps, swapSentAt)) return;
  if ((await lookAt(deps.xapi, into))?.vbd?.record.uuid === vmBefore.vbdUuid)
    throw new XensnapError(
      'StillOwed',
      'The call that takes the disk out got no answer; it may still do it.',
    );
}

/** Puts one of the two disks into the other's place. */
async function exchangeFor(
  { store, xapi, clock }: Deps,
  { id, into, vmBefore, committed, diskUuid = '' }: SwappedJob,
  wanted: 'old' | 'new',
): Promise<Exchanged> {
  const [old, own] = [vmBefore.disk.uuid, diskUuid];
  const places = wanted === 'old' ? { from: own, to: old, back: !committed } : { from: old, to: own };
  return exchange(xapi, { ...into, ...places, as: vmBefore.attachment }, () =>
    store.jobs.record(id, { swapSentAt: clock.now().toISOString() }),
  );
}

/** It is committed: the VM has the new disk, and the old one is marked as what it is. */
async function keepOld(deps: Deps, job: SwappedJob): Promise<void> {
  const { disk } = job.vmBefore;
  await keepDisk(deps, job, disk.uuid, keptNameOf(job));
  await letStart(deps, job, job.vmBefore.running || job.request.start, NOT_STARTED);
  await deps.store.jobs.pay(job.id, 'swap');
}

/**
 * The disks are exchanged once more, and now the new one is kept. Where that cannot be, the VM has the new one, and it is
 * given up.
 * @throws StillOwed where the VM has neither, and does not stand still
 */
async function undo(deps: Deps, job: SwappedJob): Promise<void> {
  const { store, xapi, clock } = deps;
  const { disk } = job.vmBefore;
  const vm = await byUuid(xapi, 'VM', job.into.uuid);
  if (vm) await blockStart(xapi, vm, job.id);
  const ended = await exchangeFor(deps, job, 'old');
  if (ended !== 'done') {
    if (mayArrive(deps, job.swapSentAt))
      throw new XensnapError(
        'StillOwed',
        'A call that exchanges the disks got no answer; it may still do it.',
      );
    if ((await exchangeFor(deps, job, 'new')) === 'not halted')
      throw new XensnapError('StillOwed', `The VM "${job.into.name}" gets its disk once it is halted.`);
    await warnOf(deps, ended, job);
    await letStart(deps, job, false, '');
    await store.jobs.endUndo(job.id, undefined);
    return;
  }
  const ref = await byUuid(xapi, 'VDI', disk.uuid);
  if (ref) {
    await xapi.call('VDI.set_name_label', ref, disk.name);
    await keepNoMore(xapi, ref, job.id);
  }
  if (job.diskUuid !== undefined) await keepDisk(deps, job, job.diskUuid, keptNameOf(job, { undone: true }));
  await letStart(deps, job, false, '');
  await store.jobs.endUndo(job.id, clock.now());
}

/** Marks a disk that no VM has any more, so that it is listed, and destroyed by nobody who is not told to. */
async function keepDisk({ xapi, config, clock }: Deps, { id, into }: SwappedJob, uuid: string, name: string) {
  const ref = await byUuid(xapi, 'VDI', uuid);
  // Whoever has attached it meanwhile, or destroyed it, has decided what it is.
  if (!ref || (await attachmentsOf(xapi, ref)).others.length > 0) return;
  await keep(xapi, ref, id, {
    ...{ installation: config.installation, disk: uuid, vm: into.uuid, device: into.device },
    since: clock.now().toISOString(),
  });
  await xapi.call('VDI.set_name_label', ref, name);
}

/** Lets the VM start, and starts it; that it can't is a warning. */
async function letStart(
  deps: Deps,
  { id, into }: SwappedJob,
  start: boolean,
  problem: string,
): Promise<void> {
  const ref = await byUuid(deps.xapi, 'VM', into.uuid);
  if (!ref) return;
  await unblockStart(deps.xapi, ref, id);
  if (start) await startOrWarn(deps, into.uuid, problem);
}

async function warnOf(
  { store }: Deps,
  ended: Exclude<Exchanged, 'done'>,
  { id, into, vmBefore }: SwappedJob,
) {
  const { message } = whyNotExchanged(ended, into);
  const text = `${message} The disk that it had is "${vmBefore.disk.name}" (${vmBefore.disk.uuid}).`;
  await store.jobs.warn(id, text, message);
}

const NOT_STARTED_AGAIN = 'The VM was shut down for the restore, and could not be started again';
