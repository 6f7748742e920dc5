import { XensnapError } from '../errors.ts';
import { disksMadeBy } from '../pool/restored-disk.ts';
import { tagsOf } from '../pool/tags.ts';
import { nameAtWork } from '../restored.ts';
import { type DepsOf, mayArrive, owe, record, step } from '../step.ts';
import { isReplyLost } from '../translate.ts';

/**
 * Makes the disk, under a name of the job's own. A call whose reply was lost is not sent again before it is sure that it
 * comes to nothing: the disk is looked for by its name and tag.
 */
export const handler = step(
  'CreateDisks',
  { needs: ['srRef', 'imageName', 'virtualBytes'] },
  async (_state, deps) => {
    const { job, xapi, store, config } = deps;
    if (job.diskUuid !== undefined) return undefined;
    const [found] = job.diskSentAt === undefined ? [] : await disksMadeBy(xapi, job, config.installation);
    if (found) {
      await record(deps, { diskRef: found.ref, diskUuid: found.uuid });
      return undefined;
    }
    if (mayArrive(deps, job.diskSentAt))
      throw new XensnapError(
        'XapiReplyLost',
        'The call that makes the disk got no answer; it may still make one.',
      );
    await owe(deps, 'disk', { diskSentAt: deps.clock.now().toISOString() });
    const diskRef = await create(deps).catch(async (error: unknown) => {
      // Refused, or never sent: it may be sent again.
      if (!isReplyLost(error)) await store.jobs.record(job.id, {}, ['diskSentAt']);
      throw error;
    });
    await record(deps, { diskRef, diskUuid: await xapi.call('VDI.get_uuid', diskRef) });
    return undefined;
  },
);

function create({ job, xapi, config }: DepsOf<'CreateDisks', 'srRef' | 'imageName' | 'virtualBytes'>) {
  return xapi.call('VDI.create', {
    name_label: nameAtWork(job),
    name_description: '',
    SR: job.srRef,
    virtual_size: String(job.virtualBytes),
    type: 'user',
    sharable: false,
    read_only: false,
    other_config: tagsOf(job.id, config.installation),
    xenstore_data: {},
    sm_config: {},
    tags: [],
  });
}
