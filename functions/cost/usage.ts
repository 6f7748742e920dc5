import { STEPS, type StepName } from '../../statemachine/contract.ts';
import type { JobModel, PollTimings } from './model.ts';
import type { PriceName } from './prices.ts';
import {
  ADMISSION,
  API,
  COLD_START_SECONDS,
  INDEX_WRITES,
  JOB_RECORD_KB,
  LOG_BYTES_A_REQUEST,
  LOG_BYTES_A_RUN,
  STEP_USE,
  type StepUse,
  WRITES_AT_LAST,
} from './step-use.ts';
import type { Walk } from './walk.ts';

/** Quantities, by the name of their price. */
export type Usage = Readonly<Partial<Record<PriceName, number>>>;

/** Runs of one function: how many, what each uses, and whether the first starts cold. */
interface Runs {
  readonly count: number;
  readonly use: StepUse;
  readonly memoryMib: number;
  readonly coldStarts: number;
}

/** What a walk of that model uses of each service. */
export function usageOf({ transitions, runs }: Walk, model: JobModel, timings: PollTimings): Usage {
  const lines = 1 + model.requeues;
  // The first look at the head, and those that no slot which came free has brought about.
  const waits = model.headSeconds > 0 ? 1 + Math.floor(model.headSeconds / timings.admissionRetrySeconds) : 0;
  const functions: Runs[] = [
    ...(Object.entries(runs) as [StepName, number][]).map(([name, count]) => ({
      count,
      use: STEP_USE[name],
      memoryMib: STEPS[name].memoryMib,
      coldStarts: 1,
    })),
    { count: lines, use: ADMISSION.granted, memoryMib: ADMISSION.memoryMib, coldStarts: 1 },
    { count: waits, use: ADMISSION.wait, memoryMib: ADMISSION.memoryMib, coldStarts: 0 },
    { count: 1, use: API.request, memoryMib: API.memoryMib, coldStarts: 1 },
    { count: model.looks, use: API.look, memoryMib: API.memoryMib, coldStarts: 0 },
  ];
  const total = (of: (each: Runs) => number) => functions.reduce((sum, each) => sum + of(each), 0);
  const lambdaRequests = total(({ count }) => count);
  const last = (Object.keys(runs) as StepName[]).reduce((sum, name) => sum + (WRITES_AT_LAST[name] ?? 0), 0);
  const apiRequests = 1 + model.looks;
  return {
    transition: transitions,
    lambdaRequest: lambdaRequests,
    lambdaGbSecond: total(
      ({ count, use, memoryMib, coldStarts }) =>
        ((count * use.seconds + coldStarts * COLD_START_SECONDS) * memoryMib) / 1024,
    ),
    // Sent, received, deleted; received before, hidden, brought back.
    queueRequest: 3 * lines + 3 * waits,
    tableWrite:
      total(({ count, use }) => count * (use.jobWrites * JOB_RECORD_KB + use.smallWrites)) +
      last * JOB_RECORD_KB +
      INDEX_WRITES,
    tableRead: total(({ count, use }) => count * use.reads),
    secretRead: total(({ count, use }) => count * use.secretReads),
    apiRequest: apiRequests,
    logGb: (lambdaRequests * LOG_BYTES_A_RUN + apiRequests * LOG_BYTES_A_REQUEST) / 1e9,
    // One of the execution. A function that nothing traced calls is sampled: the first in each second, and so nearly all;
    // admission starts none.
    trace: 1 + apiRequests,
  };
}
