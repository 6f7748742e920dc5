import { randomOf } from '../../scale/random.ts';
import type { Call } from '../wire/call.ts';
import type { Fault, Target } from '../wire/faults.ts';

const error = (code: string, status?: number): Fault => ({
  kind: 'error',
  code,
  ...(status !== undefined && { status }),
});
/** On the way, whoever is asked: before the effect, and after it. */
const ON_THE_WAY: readonly Fault[] = [{ kind: 'reset' }, { kind: 'lost-reply' }, { kind: 'truncated' }];
/** In the stand-ins' memory a connection that breaks in the middle of an answer is not seen to break, as a network's is. */
const OF_AWS: readonly Fault[] = [
  { kind: 'reset' },
  { kind: 'lost-reply' },
  error('InternalServerError', 500),
  error('ThrottlingException', 400),
];
const OF_HTTP: readonly Fault[] = [
  ...ON_THE_WAY,
  { kind: 'garbage' },
  { kind: 'status', status: 500 },
  { kind: 'status', status: 503 },
];

/** What passes by itself, by who is asked. */
const TRANSIENT: Readonly<Record<Target, readonly Fault[]>> = {
  xapi: [
    ...ON_THE_WAY,
    { kind: 'garbage' },
    { kind: 'status', status: 500 },
    error('INTERNAL_ERROR'),
    error('OTHER_OPERATION_IN_PROGRESS'),
    error('SESSION_INVALID'),
  ],
  glance: OF_HTTP,
  keystone: OF_HTTP,
  dynamodb: OF_AWS,
  sqs: OF_AWS,
  states: OF_AWS,
  secrets: OF_AWS,
};

/** Has so many of 100 calls fail with something that passes; of the same calls in the same order the same ones. */
export function byChance(seed: number, percent: number): (call: Pick<Call, 'to'>) => Fault | undefined {
  const random = randomOf(seed);
  return ({ to }) => {
    if (random() * 100 >= percent) return undefined;
    const faults = TRANSIENT[to];
    return faults[Math.floor(random() * faults.length)];
  };
}
