import { NULL_REF, type Row } from '../database/value.ts';
import { XapiFailure } from '../failure.ts';
import { diskAttachmentChanged } from '../sm/blktap.ts';
import { deviceName, makeDevice, removeDevice } from '../sm/device.ts';
import type { Context, PoolState } from '../state.ts';
import { attachAt, dom0Of, letGo } from './vbd-attach.ts';
import { updateAllowedVbdOperations, usersOf, vbdRefusal } from './vbd-operations.ts';
import { updateAllowedVdiOperations } from './vdi-operations.ts';
import { untilAllowed } from './vm-operations.ts';

const GONE_TYPES = ['cbt_metadata', 'ha_statefile', 'redo_log'];
const MOST_DEVICES = 255;

/** A VBD without a domain's or SM's help (xapi_vbd.ml): what the caller says of its state counts for nothing. */
function createVbd({ pool }: Context, args: Row): string {
  const { db } = pool;
  const vm = String(args.VM);
  const vdi = String(args.VDI ?? NULL_REF);
  const { type = 'Disk', mode = 'RO', empty = false } = args;
  db.row('VM', vm);
  if (empty !== true) {
    const vdiType = db.text('VDI', vdi, 'type');
    if (GONE_TYPES.includes(vdiType)) throw new XapiFailure('VDI_INCOMPATIBLE_TYPE', vdi, vdiType);
  }
  if (type === 'CD' && mode !== 'RO') throw new XapiFailure('VBD_CDS_MUST_BE_READONLY');
  if (type !== 'CD' && empty === true) throw new XapiFailure('VBD_NOT_REMOVABLE_MEDIA', 'in constructor');
  if (mode === 'RW' && db.flag('VDI', vdi, 'read_only')) throw new XapiFailure('VDI_READONLY', vdi);
  const taken = db.referrers('VBD', 'VM', vm).map((each) => db.text('VBD', each, 'userdevice'));
  const userdevice = args.userdevice === 'autodetect' ? freeDevice(taken) : String(args.userdevice);
  if (!/^\d+$/.test(userdevice) || Number(userdevice) >= MOST_DEVICES)
    throw new XapiFailure('INVALID_DEVICE', String(args.userdevice));
  if (taken.includes(userdevice)) throw new XapiFailure('DEVICE_ALREADY_EXISTS', userdevice);
  const vbd = db.create('VBD', {
    ...args,
    VM: vm,
    VDI: vdi,
    userdevice,
    device: '',
    currently_attached: false,
    metrics: db.create('VBD_metrics', {}),
  });
  updateAllowedVbdOperations(pool, vbd);
  return vbd;
}

function freeDevice(taken: readonly string[]): string {
  let device = 0;
  while (taken.includes(String(device))) device += 1;
  return String(device);
}

async function plug(context: Context, vbd: string): Promise<void> {
  const { db } = context.pool;
  await withVbdOperation(context, vbd, 'plug', async () => {
    const vdi = db.text('VBD', vbd, 'VDI');
    const host = db.text('VM', db.text('VBD', vbd, 'VM'), 'resident_on');
    if (db.has('VDI', vdi)) attachAt(context.pool, vbd, host);
    const number = Number(db.text('VBD', vbd, 'userdevice'));
    const dom0 = dom0Of(context.pool, vbd);
    if (dom0) await makeDevice(context.pool, dom0, vdi);
    const device = dom0 ? deviceName(context.pool, vdi) : `xvd${String.fromCharCode(97 + (number % 26))}`;
    db.update('VBD', vbd, { device, currently_attached: true });
  });
}

async function unplug(context: Context, vbd: string, operation: 'unplug' | 'unplug_force'): Promise<void> {
  const { db } = context.pool;
  await withVbdOperation(context, vbd, operation, async () => {
    const vdi = db.text('VBD', vbd, 'VDI');
    const host = db.text('VM', db.text('VBD', vbd, 'VM'), 'resident_on');
    const dom0 = dom0Of(context.pool, vbd);
    if (dom0 && db.has('VDI', vdi)) await letGo(context.pool, dom0, vbd, vdi);
    // Whoever read it may have taken it away himself.
    if (!db.has('VBD', vbd)) return;
    db.set('VBD', vbd, 'currently_attached', false);
    if (!db.has('VDI', vdi)) return;
    const here = usersOf(db, vdi).filter(
      (each) => db.text('VM', db.text('VBD', each, 'VM'), 'resident_on') === host,
    );
    if (dom0 && !here.some((each) => dom0Of(context.pool, each))) await removeDevice(context.pool, dom0, vdi);
    const { [`host_${host}`]: _tag, ...rest } = db.map('VDI', vdi, 'sm_config');
    if (here.length > 0) return;
    db.set('VDI', vdi, 'sm_config', rest);
    diskAttachmentChanged(context.pool, vdi);
  });
}

async function withVbdOperation(
  context: Context,
  vbd: string,
  operation: string,
  work: () => Promise<void>,
): Promise<void> {
  const { pool, task } = context;
  const { db, released } = pool;
  const vdi = db.text('VBD', vbd, 'VDI');
  await untilAllowed(context, 'VBD', vbd, () => vbdRefusal(pool, vbd, operation));
  db.set('VBD', vbd, 'current_operations', { [task]: operation });
  try {
    await work();
  } finally {
    if (db.has('VBD', vbd)) {
      db.set('VBD', vbd, 'current_operations', {});
      updateAllowedVbdOperations(pool, vbd);
    }
    if (db.has('VDI', vdi)) updateAllowedVdiOperations(pool, vdi);
    released.emit(`VBD/${vbd}`);
    released.emit(`VDI/${vdi}`);
  }
}

/** @throws XapiFailure OPERATION_NOT_ALLOWED while it is attached */
export function destroyVbd({ db }: PoolState, vbd: string): void {
  const { currently_attached: attached, uuid, VM: vm, metrics } = db.row('VBD', vbd);
  if (attached) {
    const vmUuid = db.text('VM', String(vm), 'uuid');
    throw new XapiFailure('OPERATION_NOT_ALLOWED', `VBD '${uuid}' still attached to '${vmUuid}'`);
  }
  if (db.has('VBD_metrics', String(metrics))) db.destroy('VBD_metrics', String(metrics));
  db.destroy('VBD', vbd);
}

export const vbdCalls = {
  'VBD.create': createVbd,
  'VBD.plug': plug,
  'VBD.unplug': (context: Context, vbd: string) => unplug(context, vbd, 'unplug'),
  'VBD.unplug_force': (context: Context, vbd: string) => unplug(context, vbd, 'unplug_force'),
  'VBD.destroy': ({ pool }: Context, vbd: string) => destroyVbd(pool, vbd),
  'VBD.assert_attachable': ({ pool }: Context, vbd: string) => {
    pool.db.row('VBD', vbd);
    const failure = vbdRefusal(pool, vbd, 'attach');
    if (failure) throw failure;
  },
};
