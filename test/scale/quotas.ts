import type { Timeline } from './timeline.ts';

/** A token bucket, as AWS describes its quotas: so many at once, and so many a second after that. */
export interface Quota {
  readonly bucket: number;
  readonly perSecond: number;
}

/**
 * What AWS gives at first in regions other than its three largest, where it gives less. Sources: "Step Functions service
 * quotas"; "Amazon SQS message quotas" (high throughput for FIFO queues, single calls, in the regions that have the
 * least); "Understanding DynamoDB warm throughput" (a new table on demand, and a partition, without what it can save up).
 */
export const QUOTAS = {
  StartExecution: { bucket: 800, perSecond: 150 },
  SendTaskSuccess: { bucket: 1500, perSecond: 300 },
  ListExecutions: { bucket: 100, perSecond: 2 },
  DescribeExecution: { bucket: 250, perSecond: 10 },
  StopExecution: { bucket: 500, perSecond: 25 },
  StateTransition: { bucket: 800, perSecond: 500 },
  SendMessage: { bucket: 2400, perSecond: 2400 },
  ReceiveMessage: { bucket: 2400, perSecond: 2400 },
  DeleteMessage: { bucket: 2400, perSecond: 2400 },
  ChangeMessageVisibility: { bucket: 2400, perSecond: 2400 },
  'table writes': { bucket: 4000, perSecond: 4000 },
  'table reads': { bucket: 12_000, perSecond: 12_000 },
} as const satisfies Record<string, Quota>;
export type QuotaName = keyof typeof QUOTAS;

/** One partition of the table or of an index: one item, or all items of one value. */
export const PARTITION_WRITES: Quota = { bucket: 1000, perSecond: 1000 };
export const PARTITION_READS: Quota = { bucket: 3000, perSecond: 3000 };

/** Functions that run at once in an account. A new one has 10 until AWS has seen it use them. */
export const LAMBDA_CONCURRENCY = 1000;

/** What the SDK does about throttling: three tries, of which the second and third wait up to 0.5 and 1 s. */
const TRIES = 3;
const FIRST_PAUSE_SECONDS = 0.5;

/** What was asked of a service, and what of it was turned away. */
export interface Usage {
  calls: number;
  throttled: number;
  /** Calls that were turned away each time, so that whoever made them was told. */
  failed: number;
  /** The seconds that one was held up where it was not turned away, but waited in turn. */
  longest: number;
  /** The most in one second. */
  most: number;
  second: number;
  inSecond: number;
}

export class Throttled extends Error {
  override readonly name = 'ThrottlingException';
}

/** The services' quotas on virtual time, with the tries of who calls. */
export class Quotas {
  readonly usage = new Map<string, Usage>();
  readonly #buckets = new Map<string, { left: number; at: number }>();
  readonly #time: Timeline;
  readonly #random: () => number;

  constructor(time: Timeline, random: () => number) {
    this.#time = time;
    this.#random = random;
  }

  /** Takes what a call needs, tried again as the SDK does. Throws Throttled after the last try. */
  async call(needs: readonly Need[]): Promise<void> {
    for (let tries = 1, short = this.#take(needs); short.length > 0; tries++, short = this.#take(needs)) {
      if (tries === TRIES) {
        for (const { name } of short) this.#of(name).failed++;
        throw new Throttled(short.map(({ name }) => name).join(', '));
      }
      await this.#time.sleep(this.#random() * FIRST_PAUSE_SECONDS * 2 ** (tries - 1));
    }
  }

  /** Takes it, and waits in turn where there is too little: a state is entered later, and never not at all. */
  async wait(name: QuotaName, count: number): Promise<void> {
    const { perSecond } = QUOTAS[name];
    const bucket = this.#bucket(name, QUOTAS[name]);
    bucket.left -= count;
    const usage = this.#of(name);
    this.#count(usage, count);
    if (bucket.left >= 0) return;
    usage.throttled++;
    usage.longest = Math.max(usage.longest, -bucket.left / perSecond);
    await this.#time.sleep(-bucket.left / perSecond);
  }

  #bucket(key: string, quota: Quota): { left: number; at: number } {
    const now = this.#time.seconds;
    const bucket = this.#buckets.get(key) ?? { left: quota.bucket, at: now };
    this.#buckets.set(key, bucket);
    bucket.left = Math.min(quota.bucket, bucket.left + (now - bucket.at) * quota.perSecond);
    bucket.at = now;
    return bucket;
  }

  #count(usage: Usage, count: number): void {
    const second = Math.floor(this.#time.seconds);
    if (usage.second !== second) [usage.second, usage.inSecond] = [second, 0];
    usage.calls += count;
    usage.inSecond += count;
    usage.most = Math.max(usage.most, usage.inSecond);
  }

  /** Takes all that is needed, or nothing; answers what there is too little of. */
  #take(needs: readonly Need[]): readonly Need[] {
    const buckets = needs.map(({ name, key = name, quota }) => this.#bucket(key, quota));
    const short = needs.filter(({ count }, index) => (buckets[index]?.left ?? 0) < count);
    for (const { name } of short) this.#of(name).throttled++;
    if (short.length > 0) return short;
    for (const [index, { name, count }] of needs.entries()) {
      const bucket = buckets[index];
      if (bucket) bucket.left -= count;
      this.#count(this.#of(name), count);
    }
    return short;
  }

  #of(name: string): Usage {
    const usage = this.usage.get(name) ?? {
      ...{ calls: 0, throttled: 0, failed: 0, longest: 0, most: 0, second: 0, inSecond: 0 },
    };
    this.usage.set(name, usage);
    return usage;
  }
}

/** What a call needs of one quota. */
export interface Need {
  /** Under which it is counted. */
  readonly name: string;
  /** Whose bucket it is, where there are several of that name. */
  readonly key?: string;
  readonly quota: Quota;
  readonly count: number;
}

export function need(name: QuotaName, count = 1): Need {
  return { name, quota: QUOTAS[name], count };
}
