import type { HistoryEvent } from './history.ts';

/** One run of the state machine, kept in memory. Input and output are JSON. */
export interface Execution {
  readonly arn: string;
  readonly name: string;
  readonly startDate: Date;
  readonly input: string;
  readonly history: HistoryEvent[];
  status: 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED';
  stopDate?: Date;
  output?: string;
  error?: string;
  cause?: string;
}
