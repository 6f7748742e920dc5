import * as fc from 'fast-check';

/** What somebody does. Numbers that are out of range are wrapped round: 3 of two VMs is the second. */
export type Action =
  | { readonly do: 'snapshot'; readonly by: number; readonly vm: number }
  | { readonly do: 'backup'; readonly by: number; readonly vm: number; readonly keep: number }
  | { readonly do: 'cancel'; readonly by: number; readonly job: number }
  | { readonly do: 'kill'; readonly by: number }
  | { readonly do: 'janitor'; readonly by: number }
  | { readonly do: 'operator snapshots'; readonly vm: number }
  | { readonly do: 'operator reverts'; readonly vm: number; readonly snapshot: number }
  | { readonly do: 'operator migrates'; readonly vm: number; readonly host: number }
  | { readonly do: 'operator destroys'; readonly vm: number };

/** A schedule of what happens to a pool and a Glance that two installations share. */
export interface Plan {
  /** Each so many seconds of the clock after the one before. */
  readonly actions: readonly (Action & { readonly after: number })[];
  /** How many of 100 calls fail with something that passes, and which. */
  readonly percent: number;
  readonly seed: number;
}

export const VMS = 4;
export const INSTALLATIONS = 2;

const vm = fc.nat(VMS - 1);
const by = fc.nat(INSTALLATIONS - 1);
const after = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: fc.nat(20) });
const something = <T extends string>(what: T) => fc.constant(what);

/** Any such schedule, of which the simplest is one without actions. */
export const plans: fc.Arbitrary<Plan> = fc.record({
  actions: fc.array(
    fc.oneof(
      { weight: 9, arbitrary: fc.record({ do: something('snapshot'), by, vm, after }) },
      { weight: 4, arbitrary: fc.record({ do: something('backup'), by, vm, keep: fc.nat(2), after }) },
      { weight: 3, arbitrary: fc.record({ do: something('cancel'), by, job: fc.nat(5), after }) },
      { weight: 1, arbitrary: fc.record({ do: something('kill'), by, after }) },
      { weight: 1, arbitrary: fc.record({ do: something('janitor'), by, after }) },
      { weight: 3, arbitrary: fc.record({ do: something('operator snapshots'), vm, after }) },
      {
        weight: 2,
        arbitrary: fc.record({ do: something('operator reverts'), vm, snapshot: fc.nat(3), after }),
      },
      { weight: 2, arbitrary: fc.record({ do: something('operator migrates'), vm, host: fc.nat(1), after }) },
      { weight: 1, arbitrary: fc.record({ do: something('operator destroys'), vm, after }) },
    ),
    { minLength: 1, maxLength: 14 },
  ),
  percent: fc.constantFrom(0, 1, 3, 6),
  seed: fc.nat(),
});

/** The schedule of a seed. */
export function planOf(seed: number): Plan {
  const [plan] = fc.sample(plans, { seed, numRuns: 1 });
  if (!plan) throw new Error(`There is no schedule ${seed}`);
  return plan;
}
