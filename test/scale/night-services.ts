import {
  DescribeExecutionCommand,
  ListExecutionsCommand,
  SendTaskSuccessCommand,
  type SFNClient,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';
import { STEP_USE } from '../../functions/cost/step-use.ts';
import { REAL_VMS } from '../../functions/pool/vms.ts';
import type { BaseRuntime } from '../../functions/runtime/base.ts';
import type { Glance } from '../../glance/client.ts';
import type { Image } from '../../glance/image.ts';
import type { StepName } from '../../statemachine/contract.ts';
import { XapiError } from '../../xapi/errors.ts';
import { LAMBDA_CONCURRENCY, need, type Quotas } from './quotas.ts';
import type { Timeline } from './timeline.ts';

/** Step Functions, as far as a night asks it, behind its quotas. */
export class NightMachine {
  /** Executions that run, in the order of their starts. */
  readonly running = new Set<string>();
  readonly #quotas: Quotas;
  readonly #on: { start: (id: string) => void; token: (token: string) => void };
  #list: readonly string[] = [];

  constructor(quotas: Quotas, on: { start: (id: string) => void; token: (token: string) => void }) {
    this.#quotas = quotas;
    this.#on = on;
  }

  /** In the place of the SDK's client. */
  client(): SFNClient {
    return { send: (command: unknown) => this.#send(command), destroy() {} } as unknown as SFNClient;
  }

  async #send(command: unknown): Promise<object> {
    if (command instanceof StartExecutionCommand) {
      await this.#quotas.call([need('StartExecution')]);
      const { name = '' } = command.input;
      this.running.add(name);
      this.#on.start(name);
      return {};
    }
    if (command instanceof SendTaskSuccessCommand) {
      await this.#quotas.call([need('SendTaskSuccess')]);
      this.#on.token(command.input.taskToken ?? '');
      return {};
    }
    if (command instanceof DescribeExecutionCommand) {
      await this.#quotas.call([need('DescribeExecution')]);
      const id = command.input.executionArn?.split(':').at(-1) ?? '';
      return { status: this.running.has(id) ? 'RUNNING' : 'SUCCEEDED' };
    }
    if (!(command instanceof ListExecutionsCommand)) throw new Error('no night asks for this');
    await this.#quotas.call([need('ListExecutions')]);
    const { stateMachineArn = '', nextToken, maxResults = 100 } = command.input;
    if (stateMachineArn.endsWith('restore')) return { executions: [] };
    const from = Number(nextToken ?? 0);
    if (from === 0) this.#list = [...this.running];
    const page = this.#list.slice(from, from + maxResults);
    const to = from + page.length;
    return {
      executions: page.map((name) => ({ name })),
      ...(to < this.#list.length && { nextToken: String(to) }),
    };
  }
}

/** Lambda: so many at once in an account; what is turned away is tried again after a second, as the states are. */
export class Functions {
  most = 0;
  throttled = 0;
  #now = 0;
  readonly #time: Timeline;
  readonly #quotas: Quotas;

  constructor(time: Timeline, quotas: Quotas) {
    this.#time = time;
    this.#quotas = quotas;
  }

  /** Runs `work`, and takes so many seconds beside it. */
  async run<T>(seconds: number, work: () => Promise<T>): Promise<T> {
    while (this.#now >= LAMBDA_CONCURRENCY) {
      this.throttled++;
      await this.#time.sleep(1);
    }
    this.most = Math.max(this.most, ++this.#now);
    try {
      const result = await work();
      await this.#time.sleep(seconds);
      return result;
    } finally {
      this.#now--;
    }
  }

  /** Steps that are only time here: each enters its state and what leads there, and takes of the table what it uses. */
  async steps(names: readonly StepName[]): Promise<void> {
    for (const name of names) {
      const { seconds, reads, jobWrites, smallWrites } = STEP_USE[name];
      await this.#quotas.wait('StateTransition', 2);
      await this.run(seconds, () =>
        this.#quotas.call([need('table writes', 2 * jobWrites + smallWrites), need('table reads', reads)]),
      );
    }
  }
}

/** What one call of xapi takes. */
const XAPI_SECONDS = 0.05;

/** Sessions with pools of which nothing is known but their hosts and VMs. */
export function sessionsOf(
  time: Timeline,
  vmsOf: (pool: string) => object,
  hostsOf: (pool: string) => object,
): BaseRuntime['withSession'] {
  return (pool, use) =>
    use({
      callCount: 0,
      call: async (method: string, where: unknown) => {
        await time.sleep(XAPI_SECONDS);
        if (method === 'host.get_all_records') return hostsOf(pool);
        if (method === 'host.call_plugin') throw new XapiError('host.call_plugin', ['XENAPI_MISSING_PLUGIN']);
        if (method === 'secret.get_all') return [];
        return method === 'VM.get_all_records_where' && where === REAL_VMS ? vmsOf(pool) : {};
      },
    } as never);
}

/** A Glance that has the images which were put there, the last first. */
export function glanceOf(images: readonly Image[]): Glance {
  const byId = new Map<string, Image>();
  const glance: Pick<Glance, 'listImages' | 'getImage'> = {
    async *listImages({ status } = {}) {
      // Nothing is left unfinished.
      if (status === undefined) yield* images.toReversed();
    },
    getImage: async (id) => {
      for (let n = byId.size; n < images.length; n++) byId.set(images[n]?.id ?? '', images[n] as Image);
      return byId.get(id);
    },
  };
  return glance as unknown as Glance;
}

export function imageOf(id: string, at: string): Image {
  return {
    ...{ id, name: 'i', status: 'active', sizeBytes: 1, checksum: null, osHashAlgo: 'sha512' },
    ...{ osHashValue: 'x', diskFormat: 'vhd', containerFormat: 'ovf', visibility: 'private', owner: null },
    ...{ protected: false, createdAt: at, updatedAt: at },
    properties: { xensnap_installation: 'memory', xensnap_job: id },
  };
}
