import type { Held } from '../../functions/queue/admit.ts';
import type { QueueMessage } from '../../statemachine/contract.ts';
import type { Timeline } from './timeline.ts';

/** A message group: those that wait, the head first, and what became of the head. */
interface Line {
  readonly group: string;
  readonly messages: QueueMessage[];
  readonly sentAt: number[];
  first: number;
  /** `busy`: with a consumer. */
  head: 'visible' | 'busy' | 'hidden';
  /** Counts the times that the head was hidden or brought back: what is due for an earlier one is void. */
  change: number;
  hiddenUntil: number;
  /** Counts the times that the head was received: by an earlier receipt it is not brought back. */
  received: number;
}

/** What a consumer does with a message: true where it is dealt with and deleted. */
type Consume = (message: QueueMessage, held: Held) => Promise<boolean>;

/**
 * SQS FIFO behind its event source, as AWS documents them: batches of one; a message that is in flight or not visible
 * yet blocks its group and no other; a consumer's failure brings it back, at the head, when its visibility is over or
 * whoever has its receipt ends that; `concurrency` consumers at most. Groups that could go on take turns.
 */
export class HostQueue {
  readonly #time: Timeline;
  readonly #consume: Consume;
  readonly #lines = new Map<string, Line>();
  readonly #ready: Line[] = [];
  #idle: number;
  /** Receives, and the most consumers at once. */
  receives = 0;
  mostAtOnce = 0;
  readonly #concurrency: number;
  readonly #consumeSeconds: number;

  constructor(time: Timeline, options: { concurrency: number; consumeSeconds: number }, consume: Consume) {
    this.#time = time;
    this.#consume = consume;
    this.#concurrency = options.concurrency;
    this.#idle = options.concurrency;
    this.#consumeSeconds = options.consumeSeconds;
  }

  send(message: QueueMessage): void {
    const { group } = message;
    const line = this.#lines.get(group) ?? newLine(group);
    this.#lines.set(group, line);
    line.messages.push(message);
    line.sentAt.push(this.#time.now().getTime());
    if (line.head === 'visible' && line.messages.length - line.first === 1) this.#show(line);
  }

  /** Makes the head of a line visible at once, as a visibility of 0 does; refuses a receipt that is out of date. */
  wake(receipt: string): void {
    const [group = '', received] = receipt.split(' ');
    const line = this.#lines.get(group);
    if (!line || line.head === 'visible' || String(line.received) !== received)
      throw Object.assign(new Error('not in flight'), { name: 'MessageNotInflight' });
    line.hiddenUntil = 0;
    line.change++;
    if (line.head === 'hidden') this.#show(line);
  }

  /** The line's head may be received. */
  #show(line: Line): void {
    line.head = 'visible';
    if (line.first === line.messages.length) return;
    this.#ready.push(line);
    if (this.#idle > 0) this.#time.in(0, () => this.#receive());
  }

  /** All idle consumers at once, so that their calls of the table mix. */
  async #receive(): Promise<void> {
    const lines = this.#ready.splice(0, this.#idle);
    this.#idle -= lines.length;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#concurrency - this.#idle);
    await Promise.all(
      lines.map(async (line) => {
        line.head = 'busy';
        this.receives++;
        line.received++;
        const held: Held = {
          receipt: `${line.group} ${line.received}`,
          since: line.sentAt[line.first] ?? 0,
          hide: async (seconds) => {
            line.hiddenUntil = this.#time.seconds + seconds;
            line.change++;
          },
        };
        const deleted = await this.#consume(line.messages[line.first] as QueueMessage, held);
        this.#time.in(this.#consumeSeconds, () => this.#afterConsumer(line, deleted));
      }),
    );
  }

  #afterConsumer(line: Line, deleted: boolean): void {
    this.#idle++;
    if (deleted) {
      line.first++;
      line.received++;
      this.#show(line);
    } else if (line.hiddenUntil <= this.#time.seconds) this.#show(line);
    else {
      line.head = 'hidden';
      const { change } = line;
      this.#time.in(line.hiddenUntil - this.#time.seconds, () => {
        if (line.change === change) this.#show(line);
      });
    }
    if (this.#ready.length > 0) this.#time.in(0, () => this.#receive());
  }
}

function newLine(group: string): Line {
  return {
    group,
    messages: [],
    sentAt: [],
    first: 0,
    head: 'visible',
    change: 0,
    hiddenUntil: 0,
    received: 0,
  };
}
