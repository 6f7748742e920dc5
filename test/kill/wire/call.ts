import type { StepName } from '../../../statemachine/contract.ts';
import type { Fault, Target } from './faults.ts';

/** What makes a call: a state by its name, or what works beside the states. */
export type Who =
  | StepName
  | 'QueueForHost'
  | 'request'
  | 'cancel'
  | 'admission'
  | 'reconcile'
  | 'janitor'
  | 'plugin'
  | 'nobody';

/** Where a call comes from, as the processes of a real installation would be told apart. */
export interface Origin {
  readonly wire: WireEnd;
  /** Which start of the service; one that was killed is cut off. */
  readonly generation: number;
  readonly who: Who;
  /** The job, where it is known. */
  readonly job?: string;
}

/** One call, as it comes to the wire. */
export interface Call {
  readonly to: Target;
  /** xapi's method with the plugin's function, `POST images`, or the operation of AWS. */
  readonly name: string;
  /** The step that makes it, or what else does. */
  readonly state: Who;
  readonly job: string | undefined;
  /** Which one of its target, name, state and job; 1 is the first. AWS's SDK tries a call itself: these are one. */
  readonly nth: number;
  /** Of these tries; 1 is the first. */
  readonly attempt: number;
  /** xapi's arguments without the session; the parsed request of AWS. */
  readonly args: readonly unknown[];
}

/** What a front end knows of a call. */
export type Arrival = Pick<Call, 'to' | 'name' | 'args'> & {
  readonly origin: Origin;
  /** The same for all tries of one call. */
  readonly invocation?: string | undefined;
};

/** The wire as those see it who come to it. */
export interface WireEnd {
  readonly id: string;
  /** Takes a call in, and answers what is to become of it. */
  arrive(arrival: Arrival): Fault | undefined;
  /** Whether nothing of such an origin gets in or out any more. */
  isDead(origin: Origin): boolean;
}
