import { randomUUID } from 'node:crypto';
import type { Arrival, Call, Origin, WireEnd } from './call.ts';
import type { Fault } from './faults.ts';
import { register } from './origin.ts';

/**
 * What lies between the service and everything that it speaks to. Each call is described in one way, whomever it is
 * made to, and `decide` may have something become of it.
 */
export class Wire implements WireEnd {
  readonly id: string = randomUUID();
  /** Every call since the last `forget`, the later tries of the SDK left out. */
  readonly calls: Call[] = [];
  /** What becomes of a call; of each, unless something is set, nothing. */
  decide: (call: Call) => Fault | undefined = () => undefined;
  /** Told of each call, before it is decided on. */
  onCall: (call: Call) => void = () => {};
  readonly #counts = new Map<string, number>();
  readonly #invocations = new Map<string, { call: Call; attempts: number }>();
  readonly #dead = new Set<number>();
  readonly #earlier = new Set<string>();

  constructor() {
    register(this);
  }

  /** Lets nothing in or out any more of a service that was killed. */
  kill(generation: number): void {
    this.#dead.add(generation);
  }

  isDead({ generation }: Origin): boolean {
    return this.#dead.has(generation);
  }

  /** The first job, of those that began since the last `forget`, that has called anybody. */
  newJob(): string | undefined {
    return this.calls.find(({ job }) => job !== undefined && !this.#earlier.has(job))?.job;
  }

  /** Begins to count anew. */
  forget(): void {
    for (const { job } of this.calls) if (job !== undefined) this.#earlier.add(job);
    this.calls.length = 0;
    this.#counts.clear();
    this.#invocations.clear();
  }

  /** Takes a call in, and answers what is to become of it. */
  arrive({ to, name, args, origin, invocation }: Arrival): Fault | undefined {
    if (this.isDead(origin)) return { kind: 'reset' };
    const call = this.#describe({ to, name, args, origin }, invocation);
    this.onCall(call);
    const fault = this.decide(call);
    // Who was killed while it was decided on has sent it in vain.
    return this.isDead(origin) ? { kind: 'reset' } : fault;
  }

  #describe({ to, name, args, origin: { who, job } }: Arrival, invocation: string | undefined): Call {
    const earlier = invocation === undefined ? undefined : this.#invocations.get(invocation);
    if (earlier) {
      earlier.attempts += 1;
      return { ...earlier.call, attempt: earlier.attempts };
    }
    const key = [who, job, to, name].join(' ');
    const nth = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, nth);
    const call: Call = { to, name, state: who, job, nth, attempt: 1, args };
    this.calls.push(call);
    if (invocation !== undefined) this.#invocations.set(invocation, { call, attempts: 1 });
    return call;
  }
}
