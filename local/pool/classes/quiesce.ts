import { randomUUID } from 'node:crypto';
import { XapiFailure } from '../failure.ts';
import { providerOffersItself } from '../guest.ts';
import type { Context, Guest } from '../state.ts';
import { withSubtask } from './operation.ts';
import { snapshotVm } from './snapshot.ts';
import { withVmOperation } from './vm-operations.ts';

const REQUEST_SECONDS = 60;
const STATUS_SECONDS = 600;
const NO_VOLUMES_SUPPORTED = '0x8004230c';

/**
 * `VM.snapshot_with_quiesce` of XenServer up to 7.x: xapi asks the guest, the guest's VSS provider stills its
 * applications and takes a plain snapshot itself, under a name of its own, which xapi then finds by its UUID and
 * renames. The name `..._DEOS_NOT_RESPOND` is misspelt on the wire.
 */
export async function snapshotWithQuiesce(context: Context, vm: string, newName: string): Promise<string> {
  const { db, guests, clock, stopped } = context.pool;
  db.row('VM', vm);
  return withVmOperation(context, vm, 'snapshot_with_quiesce', async () => {
    const guest = guests.get(vm);
    if (guest?.xenstore.get('control/feature-snapshot') !== '1')
      throw new XapiFailure('VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED', vm);
    if (guest.vss === 'silent') {
      await clock.sleep(REQUEST_SECONDS, stopped);
      throw new XapiFailure('VM_SNAPSHOT_WITH_QUIESCE_PLUGIN_DEOS_NOT_RESPOND', vm);
    }
    if (!providerOffersItself(guest))
      throw new XapiFailure('XEN_VSS_REQ_ERROR_NO_VOLUMES_SUPPORTED', vm, NO_VOLUMES_SUPPORTED);
    const template = await providersSnapshot(context, vm, guest);
    if (guest.vss === 'timeout') {
      await clock.sleep(STATUS_SECONDS, stopped);
      throw new XapiFailure('VM_SNAPSHOT_WITH_QUIESCE_TIMEOUT', vm);
    }
    if (guest.vss === 'half') throw new XapiFailure('VM_SNAPSHOT_WITH_QUIESCE_FAILED', vm, 'snapshot-error');
    db.update('VM', template, {
      name_label: newName,
      snapshot_info: { ...db.map('VM', template, 'snapshot_info'), 'disk-snapshot-type': 'quiesced' },
    });
    return template;
  });
}

/** The guest's own call, while its applications hold still. */
async function providersSnapshot(context: Context, vm: string, guest: Guest): Promise<string> {
  const { db } = context.pool;
  const { writing } = guest;
  const name = `VSS snapshot of ${db.text('VM', vm, 'name_label')}`;
  guest.writing = false;
  await guest.burst;
  try {
    const template = await withSubtask(context, 'VM.snapshot', [vm, name], (subtask) =>
      snapshotVm(subtask, vm, name),
    );
    db.set('VM', template, 'transportable_snapshot_id', randomUUID());
    return template;
  } finally {
    guest.writing = writing;
  }
}
