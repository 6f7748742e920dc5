import { unlessUnknown } from '../pool/gone.ts';
import { destroySecret } from '../pool/secrets.ts';
import { tagsIn } from '../pool/tags.ts';
import type { Finding } from './finding.ts';
import { each, isClosed, type Round } from './round.ts';

/** Secrets by their tags; their values are never read. */
export async function sweepSecrets(round: Round, findings: Finding[]): Promise<void> {
  const { pool, xapi, runtime, dryRun } = round;
  for (const ref of await xapi.call('secret.get_all'))
    await each(round, { kind: 'secret', id: ref }, findings, () =>
      unlessUnknown('secret', ref, async () => {
        const [tag] = tagsIn(await xapi.call('secret.get_other_config', ref));
        if (tag?.installation !== runtime.config.installation) return;
        if (!(await isClosed(tag.jobId, runtime))) return;
        const id = await xapi.call('secret.get_uuid', ref);
        if (!dryRun) await destroySecret(xapi, id);
        findings.push({
          kind: 'secret',
          pool,
          id,
          what: `secret of job ${tag.jobId}, which is closed`,
          action: dryRun ? 'would' : 'removed',
        });
      }),
    );
}
