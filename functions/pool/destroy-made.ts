import type { Session } from '../../xapi/session.ts';
import type { Ref, StringMap } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import type { RestoreJob } from '../job.ts';
import { destroyUntilGone } from './destroy.ts';
import { byUuid, unlessGone, unlessUnknown } from './gone.ts';

/**
 * Destroys a VM that a restore has made; that of a test may run, and is shut down hard before.
 * @throws XapiBusy while it still starts
 */
export async function destroyMadeVm(
  xapi: Session,
  { request }: Pick<RestoreJob, 'request'>,
  uuid: string,
): Promise<void> {
  const found = request.test ? await byUuid(xapi, 'VM', uuid) : undefined;
  if (found !== undefined)
    await unlessGone(xapi, { class: 'VM', ref: found, uuid }, async (ref) => {
      const { power_state, current_operations } = await xapi.call('VM.get_record', ref);
      if (power_state !== 'Halted') await xapi.call('VM.hard_shutdown', ref);
      else await endStart(xapi, current_operations);
    });
  await destroyUntilGone(xapi, uuid, [], { exported: false });
}

/**
 * A VM that starts is Halted for as long as that takes, and its destruction would wait in xapi for it, only to be refused
 * then. The start is given up.
 */
async function endStart(xapi: Session, operations: StringMap): Promise<void> {
  const starts = Object.entries(operations).filter(([, operation]) => /^start(_on)?$/.test(operation));
  for (const [task] of starts)
    await unlessUnknown('task', task, () => xapi.call('task.cancel', task as Ref<'task'>));
  if (starts.length > 0)
    throw new XensnapError('XapiBusy', 'The VM is still being started: it goes once that is over.');
}
