import { XapiFailure } from '../failure.ts';
import { diskAttachmentChanged } from '../sm/blktap.ts';
import { devicePath, settleDevice } from '../sm/device.ts';
import { isRead } from '../sm/dom0-vbd.ts';
import { isOpenIn } from '../sm/unlink.ts';
import type { Host, PoolState } from '../state.ts';

/**
 * SM's say over the disk, one host against the others (blktap2.py, _add_tag): `host_…` in its `sm_config` says who has
 * it, and stays when that host dies.
 */
export function attachAt(pool: PoolState, vbd: string, host: string): void {
  const { db } = pool;
  const vdi = db.text('VBD', vbd, 'VDI');
  const sr = db.text('VDI', vdi, 'SR');
  const seen = db
    .referrers('PBD', 'SR', sr)
    .some((pbd) => db.text('PBD', pbd, 'host') === host && db.flag('PBD', pbd, 'currently_attached'));
  if (!seen) throw new XapiFailure('SR_NOT_ATTACHED', sr);
  refuseElsewhere(pool, vbd, host);
  const mode = db.text('VBD', vbd, 'mode');
  const tags = Object.entries(db.map('VDI', vdi, 'sm_config')).filter(([key]) => key.startsWith('host_'));
  const writes = mode === 'RW' || tags.some(([key, as]) => key === `host_${host}` && as === 'RW');
  db.set('VDI', vdi, 'sm_config', {
    ...db.map('VDI', vdi, 'sm_config'),
    [`host_${host}`]: writes ? 'RW' : 'RO',
  });
  diskAttachmentChanged(pool, vdi);
}

/** @throws XapiFailure SR_BACKEND_FAILURE_46 where another host has the disk, and either of them writes */
export function refuseElsewhere({ db }: PoolState, vbd: string, host: string): void {
  const vdi = db.text('VBD', vbd, 'VDI');
  const mode = db.text('VBD', vbd, 'mode');
  const elsewhere = Object.entries(db.map('VDI', vdi, 'sm_config')).filter(
    ([key]) => key.startsWith('host_') && key !== `host_${host}`,
  );
  if (!elsewhere.some(([, as]) => as === 'RW' || mode === 'RW')) return;
  const reason = `VDI ${db.text('VDI', vdi, 'uuid')} not detached cleanly`;
  throw new XapiFailure('SR_BACKEND_FAILURE_46', '', `The VDI is not available [opterr=${reason}]`, '');
}

/** The host whose control domain the VBD is of. */
export function dom0Of({ db, hosts }: PoolState, vbd: string): Host | undefined {
  const vm = db.text('VBD', vbd, 'VM');
  return hosts.find(({ ref }) => db.text('host', ref, 'control_domain') === vm);
}

/**
 * Takes a control domain's device from whoever has it, with what was written to it. xapi does that without its guests' way
 * (xapi_vbd.ml), and force is no stronger: sm has tapdisk closed, which waits two minutes for a process or an export that
 * has it open, and has no code of its own for what comes of that (blktap2.py, TapCtl.close).
 * @throws XapiFailure SR_BACKEND_FAILURE_1200
 */
export async function letGo(pool: PoolState, dom0: Host, vbd: string, vdi: string): Promise<void> {
  const isOpen = async (): Promise<boolean> =>
    isRead(pool, vbd) || (await isOpenIn(dom0.dom0Root, devicePath(pool, dom0, vdi), 'inside'));
  for (let waited = 0; await isOpen(); waited += LOOK_SECONDS) {
    if (waited >= pool.settings.tapdiskCloseSeconds)
      throw new XapiFailure('SR_BACKEND_FAILURE_1200', '', NOT_CLOSED, '');
    await pool.clock.sleep(LOOK_SECONDS, pool.stopped);
  }
  if (pool.db.has('VBD', vbd) && pool.db.text('VBD', vbd, 'mode') === 'RW')
    await settleDevice(pool, dom0, vdi);
}

const LOOK_SECONDS = 0.5;
const NOT_CLOSED =
  "['/usr/sbin/tap-ctl', 'close', '-p', '4711', '-m', '0', '-t', '120'] failed: errmsg=, pid=4712, status=16";
