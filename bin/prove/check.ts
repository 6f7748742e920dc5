import type { JobView } from '../../functions/api/view.ts';
import type { AnyJob } from '../any-job.ts';
import type { ApiClient } from '../client.ts';
import type { Aws } from './aws.ts';
import type { Deployed } from './stack.ts';

/** What was looked at is otherwise than it must be: the message says how. */
export class NotProved extends Error {
  override readonly name = 'NotProved';
}

/** The check cannot be made here: the message says what it would take. */
export class CannotTell extends Error {
  override readonly name = 'CannotTell';
}

/** What the checks work with. */
export interface Ground {
  readonly aws: Aws;
  readonly stack: Deployed;
  /** Speaks as the operator. */
  readonly client: ApiClient;
  /** Names or UUIDs of the VMs that may be imaged; never empty where a check `needs` them. */
  readonly vms: readonly string[];
  /** Asks the API without any proof of who asks, but for these headers. */
  asStranger(
    method: string,
    path: string,
    headers?: Readonly<Record<string, string>>,
  ): Promise<{ readonly status: number; readonly text: string }>;
  /** Asks for a job, and sees to it that it is cancelled and its image deleted in the end. */
  request<J extends AnyJob>(kind: 'snapshots' | 'restores', wish: object): Promise<J>;
  /** The job once `reached` holds of it. @throws NotProved when it ends otherwise, or takes longer than so many seconds */
  until<J extends AnyJob>(job: J, reached: (job: J) => boolean, seconds: number): Promise<J>;
  /** What `look` gives once that is something; looks again and again, for so many seconds at most. */
  eventually<T>(look: () => Promise<T | undefined>, seconds: number): Promise<T | undefined>;
  /** The first snapshot, which several sections look at. */
  firstJob(): Promise<JobView>;
  /** Has `undo` run at the end, whatever happens; `what` says to people what it takes away. */
  atEnd(what: string, undo: () => Promise<unknown>): void;
}

/** One line of what an account has to prove. */
export interface Check {
  /** What is so if it passes. */
  readonly line: string;
  /** It makes snapshots of the VMs that are named. */
  readonly needsVm?: boolean;
  /** It disturbs what runs in the account, or makes things in it: only where that is allowed. */
  readonly disturbs?: string;
  /** Answers what else is to be told. @throws NotProved, CannotTell */
  run(ground: Ground): Promise<string | undefined>;
}

export interface Section {
  readonly name: string;
  readonly checks: readonly Check[];
}

/** Says that something must be so. @throws NotProved */
export function expect(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new NotProved(otherwise);
}
