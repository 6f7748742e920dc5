import type { Session } from '../xapi/session.ts';

/** What a restore has made: the UUIDs of its VM and of its disk, where there are such. */
export interface Restored {
  readonly vm?: string | undefined;
  readonly disk?: string | undefined;
}

/** Takes away what a restore has brought back, as an operator would: the VM is shut down hard first, if it runs. */
export async function takeAway(xapi: Session, { vm: vmUuid, disk }: Restored): Promise<void> {
  if (vmUuid !== undefined) {
    const vm = await xapi.call('VM.get_by_uuid', vmUuid);
    if ((await xapi.call('VM.get_power_state', vm)) !== 'Halted') await xapi.call('VM.hard_shutdown', vm);
    await xapi.call('VM.destroy', vm);
  }
  if (disk !== undefined) await xapi.call('VDI.destroy', await xapi.call('VDI.get_by_uuid', disk));
}
