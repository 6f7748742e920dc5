import { type StepName, type StepResults, uploadWaitSeconds } from '../../statemachine/contract.ts';
import type { JobModel, PollTimings } from './model.ts';

/** What a step would answer, `seconds` into the job; `run` is how often it has run, this time included. */
export type ImaginedStep = (
  seconds: number,
  run: number,
) => Partial<StepResults[keyof StepResults]> | undefined;

/** The steps whose answers decide the way, after a job's model; the others answer nothing. */
export function imaginedSteps(
  model: JobModel,
  timings: PollTimings,
): Partial<Record<StepName, ImaginedStep>> {
  let snapshotAt = 0;
  let upload = { tries: 0, at: 0 };
  const start = (now: number) => {
    upload = { tries: upload.tries + 1, at: now };
    return undefined;
  };
  const poll = (now: number, run: number) => {
    const rest = upload.at + model.uploadSeconds - now;
    if (!isOver(run, model.uploadPolls, rest <= 0))
      return { next: 'wait', waitSeconds: uploadWait(rest, now - upload.at, model, timings) } as const;
    return upload.tries < model.uploadTries
      ? ({ next: 'again', waitSeconds: Math.ceil(timings.uploadRetrySeconds) } as const)
      : ({ next: 'done', waitSeconds: 1 } as const);
  };
  return {
    TakeVm: (now) => ({ taken: now >= model.vmWaitSeconds, waitSeconds: Math.ceil(timings.vmPollSeconds) }),
    InspectVm: () => ({ confirmed: false }),
    InspectImage: () => ({ confirmed: false }),
    ConfirmHost: (_now, run) => ({ confirmed: run > model.requeues }),
    StartSnapshot(now) {
      snapshotAt = now;
      return undefined;
    },
    PollSnapshot: (now, run) => ({
      next: isOver(run, model.snapshotPolls, now - snapshotAt >= model.snapshotSeconds) ? 'done' : 'wait',
      waitSeconds: Math.ceil(timings.snapshotPollSeconds),
    }),
    AwaitCoalesce: (_now, run) => ({
      settled: run >= model.coalesceLooks,
      waitSeconds: Math.ceil(timings.coalescePollSeconds),
    }),
    StartUpload: start,
    StartDownload: start,
    PollUpload: poll,
    PollDownload: poll,
    SwapDisk: () => ({ next: 'done', waitSeconds: 1 }),
    CreateVm: () => ({ test: false }),
    ReleaseHost: () => ({ status: model.fails === undefined ? 'succeeded' : 'failed' }),
  };
}

function isOver(run: number, polls: number | undefined, inTime: boolean): boolean {
  return polls === undefined ? inTime : run >= polls;
}

/** PollUpload's wait. The plugin has no estimate at its very beginning. */
function uploadWait(rest: number, since: number, { estimateFactor }: JobModel, timings: PollTimings): number {
  return uploadWaitSeconds(since < 2 ? 0 : rest * estimateFactor, since, timings);
}
