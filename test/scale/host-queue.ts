import type { QueueMessage } from '../../statemachine/contract.ts';
import type { Timeline } from './timeline.ts';

/** A message group: those that wait, the head first, and whether the head is with a consumer or not visible yet. */
interface Line {
  readonly messages: QueueMessage[];
  first: number;
  blocked: boolean;
}

/**
 * SQS FIFO behind its event source, as AWS documents them: batches of one; a message that is in flight or not visible
 * yet blocks its group and no other; a consumer's failure brings it back, at the head, when its visibility is over;
 * `concurrency` consumers at most. Groups that could go on take turns.
 */
export class HostQueue {
  readonly #time: Timeline;
  readonly #consume: (message: QueueMessage) => Promise<'deleted' | { visibleInSeconds: number }>;
  readonly #lines = new Map<string, Line>();
  readonly #ready: Line[] = [];
  #idle: number;
  /** Receives, and the most consumers at once. */
  receives = 0;
  mostAtOnce = 0;
  readonly #concurrency: number;
  readonly #consumeSeconds: number;

  constructor(
    time: Timeline,
    options: { concurrency: number; consumeSeconds: number },
    consume: (message: QueueMessage) => Promise<'deleted' | { visibleInSeconds: number }>,
  ) {
    this.#time = time;
    this.#consume = consume;
    this.#concurrency = options.concurrency;
    this.#idle = options.concurrency;
    this.#consumeSeconds = options.consumeSeconds;
  }

  send(message: QueueMessage): void {
    const line = this.#lines.get(message.group) ?? { messages: [], first: 0, blocked: false };
    this.#lines.set(message.group, line);
    line.messages.push(message);
    if (!line.blocked && line.messages.length - line.first === 1) this.#show(line);
  }

  /** The line's head may be received. */
  #show(line: Line): void {
    line.blocked = false;
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
        line.blocked = true;
        this.receives++;
        const answer = await this.#consume(line.messages[line.first] as QueueMessage);
        this.#time.in(this.#consumeSeconds, () => this.#afterConsumer(line, answer));
      }),
    );
  }

  #afterConsumer(line: Line, answer: 'deleted' | { visibleInSeconds: number }): void {
    this.#idle++;
    if (answer === 'deleted') {
      line.first++;
      this.#show(line);
    } else this.#time.in(answer.visibleInSeconds, () => this.#show(line));
    if (this.#ready.length > 0) this.#time.in(0, () => this.#receive());
  }
}
