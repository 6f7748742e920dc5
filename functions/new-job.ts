import { glanceText } from './glance-text.ts';
import { defaultName, replacedTexts } from './image-name.ts';
import type { JobRequest, SnapshotJob } from './job.ts';
import { nameOfVm } from './pool/vm-name.ts';
import type { Runtime } from './runtime/executions.ts';
import type { SnapshotRequest } from './snapshot-request.ts';
import type { Target } from './target.ts';
import { DEFAULT_QUIESCE } from './words.ts';

/** The job that a request asks for, as it is to be put on record. */
export function newJob(
  id: string,
  wish: SnapshotRequest,
  target: Target,
  { clock, config }: Runtime,
): SnapshotJob {
  const now = clock.now();
  const { vm } = target;
  const warnings = replacedTexts(wish);
  const request: JobRequest = {
    name: wish.name === undefined ? defaultName(vm.name_label, now) : glanceText(wish.name),
    quiesce: wish.quiesce ?? DEFAULT_QUIESCE,
    metadata: wish.metadata ?? {},
    ...(wish.maxSizeGib !== undefined && { maxSizeGib: wish.maxSizeGib }),
    detached: wish.detached ?? false,
    force: wish.force ?? false,
    ...(wish.format && { format: wish.format }),
    ...(wish.device !== undefined && { device: wish.device }),
    ...(wish.flatten && { flatten: true }),
    ...(wish.backup && { backup: wish.backup }),
  };
  return {
    id,
    machine: 'snapshot',
    status: 'starting',
    phase: 'Requested',
    request,
    ...(wish.project !== undefined && { project: wish.project }),
    ...(wish.actor !== undefined && { actor: wish.actor }),
    ...(wish.idempotency && { requestDigest: wish.idempotency.request }),
    ...(wish.scheduled && placeInTime(wish.scheduled)),
    pool: target.pool,
    vmUuid: vm.uuid,
    vmName: nameOfVm(vm),
    device: target.device,
    virtualBytes: target.virtualBytes,
    ...(warnings.length > 0 && { warnings, warningsForAll: warnings }),
    xapiCalls: target.xapiCalls,
    createdAt: now.toISOString(),
    deadline: new Date(now.getTime() + config.timings.jobMaxSeconds * 1000).toISOString(),
  };
}

function placeInTime({
  scheduleId,
  nominal,
  startAfter,
  startBefore,
}: NonNullable<SnapshotRequest['scheduled']>) {
  return {
    run: { scheduleId, nominal },
    startAfter: startAfter.toISOString(),
    waitForVmUntil: startBefore.toISOString(),
  };
}
