import { isCode } from '../../xapi/errors.ts';
import type { Session } from '../../xapi/session.ts';
import type { Ref, StringMap } from '../../xapi/types.ts';

const STARTS = ['start', 'start_on'] as const;
const WHY = 'xensnap is restoring this VM';
const REASON = /^xensnap is restoring this VM \(([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\)$/;

const reasonOf = (jobId: string) => `${WHY} (${jobId})`;

/** Keeps everybody from starting a VM while a restore is at it. Whoever has blocked that before keeps it blocked. */
export async function blockStart(xapi: Session, vmRef: Ref<'VM'>, jobId: string): Promise<void> {
  for (const operation of STARTS)
    try {
      await xapi.call('VM.add_to_blocked_operations', vmRef, operation, reasonOf(jobId));
    } catch (error) {
      if (!isCode(error, 'MAP_DUPLICATE_KEY')) throw error;
    }
}

/** Lets the VM start as far as this job is concerned. */
export async function unblockStart(xapi: Session, vmRef: Ref<'VM'>, jobId: string): Promise<void> {
  const { blocked_operations } = await xapi.call('VM.get_record', vmRef);
  for (const operation of STARTS)
    if (blocked_operations[operation] === reasonOf(jobId))
      await xapi.call('VM.remove_from_blocked_operations', vmRef, operation);
}

/** The jobs that keep a VM from starting. */
export function jobsThatBlock(blocked: StringMap): readonly string[] {
  return [...new Set(STARTS.flatMap((operation) => REASON.exec(blocked[operation] ?? '')?.[1] ?? []))];
}
