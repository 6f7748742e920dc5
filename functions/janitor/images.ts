import type { Runtime } from '../runtime/executions.ts';
import { asJobError } from '../translate.ts';
import type { Finding } from './finding.ts';

/** Image records of this installation that never became images and whose job is closed. */
export async function sweepImages(runtime: Runtime, dryRun: boolean): Promise<Finding[]> {
  const { store, glance, config } = runtime;
  const findings: Finding[] = [];
  try {
    for (const status of ['queued', 'saving'] as const)
      for await (const image of glance.listImages({
        status,
        properties: { xensnap_installation: config.installation },
      })) {
        const job = await store.jobs.get(image.id);
        if (job?.open !== undefined || job?.committed) continue;
        if (!dryRun) await glance.deleteImage(image.id);
        findings.push({
          kind: 'image',
          id: image.id,
          what: `image "${image.name}" is ${status}, and its job is closed`,
          action: dryRun ? 'would' : 'removed',
        });
      }
  } catch (error) {
    findings.push({
      kind: 'image',
      id: config.glance.url,
      what: asJobError(error).message,
      action: 'failed',
    });
  }
  return findings;
}
