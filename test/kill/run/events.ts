import { GetExecutionHistoryCommand } from '@aws-sdk/client-sfn';
import { STEP_HANDLERS } from '../../../local/steps.ts';
import type { StepName } from '../../../statemachine/contract.ts';
import { type EventCell, type EventName, RUNS } from '../cells/cell.ts';
import type { Answer, World } from '../world.ts';
import { PATH } from './runs.ts';

/** What happens to one job when it comes to a state. */
export interface Happening {
  /** Told of each state that the job enters. */
  entered(job: string, state: string): void;
  /** Told of each run of a step. */
  began(job: string, step: string): void;
  readonly fired: () => boolean;
  /** When it began, by the world's clock. */
  readonly at: () => number;
  /** Settled once it is over, or for good if it never begins; the answer is that to a cancel. */
  readonly over: Promise<Answer | undefined>;
  /** Called when the job has ended. */
  ended(job: string): void;
  /** What happens when the job has ended: a host comes back, or is ejected. */
  afterwards(): Promise<void>;
}

/** The executions of each machine, as the local service names them. */
const ARNS = {
  snapshot: 'arn:aws:states:us-east-1:000000000000:execution:xensnap',
  restore: 'arn:aws:states:us-east-1:000000000000:execution:xensnap-restore',
} as const;

export function happeningOf(cell: EventCell, world: World, hostUuid: string): Happening {
  const { promise, resolve, reject } = Promise.withResolvers<Answer | undefined>();
  promise.catch(() => undefined);
  let at = 0;
  const begin = (job: string) => {
    if (at > 0) return;
    at = world.clock.now().getTime();
    EVENT[cell.event](world, job, cell, hostUuid).then(resolve, reject);
  };
  let passed = false;
  const { event } = cell;
  return {
    entered(job, state) {
      // A step that has ended is called again when the next state is entered.
      if (event === 'called twice in turn' && passed) begin(job);
      if (state !== cell.state) return;
      passed = true;
      if (!event.startsWith('called twice')) begin(job);
    },
    began(job, step) {
      if (event === 'called twice at once' && step === cell.state) begin(job);
    },
    fired: () => at > 0,
    at: () => at,
    over: promise,
    ended(job) {
      if (event === 'called twice in turn' && passed) begin(job);
      if (at === 0) resolve(undefined);
    },
    async afterwards() {
      if (event === 'host dies, returns') await world.pool.setHost(hostUuid, { live: true });
      if (event === 'host dies, is ejected') await world.pool.ejectHost(hostUuid);
    },
  };
}

type Event = (world: World, job: string, cell: EventCell, hostUuid: string) => Promise<Answer | undefined>;

const EVENT: Readonly<Record<EventName, Event>> = {
  'service killed': async (world) => void (await world.kill()),
  'execution stopped': async (world, job) => void (await world.stopExecution(job)),
  'job cancelled': (world, job, { run }) =>
    world.ask('DELETE', `${PATH[RUNS[run]]}/${job}`, undefined, 'cancel'),
  'called twice at once': callAgain,
  'called twice in turn': callAgain,
  'xapi restarted': async ({ pool }) => void (await pool.restartXapi()),
  'failed over': async ({ pool }) => {
    const member = pool.hosts.find(({ isMaster }) => !isMaster);
    await pool.failOver(member?.uuid ?? '', { oldMaster: 'member' });
    return undefined;
  },
  'host dies, returns': async ({ pool }, _job, _cell, host) =>
    void (await pool.setHost(host, { live: false })),
  'host dies, is ejected': async ({ pool }, _job, _cell, host) =>
    void (await pool.setHost(host, { live: false })),
};

/** Calls a step's handler as Step Functions would: with the input that its history has. */
async function callAgain(world: World, job: string, cell: EventCell): Promise<undefined> {
  const step = cell.state as StepName;
  const { runtime } = world.service;
  const executionArn = `${ARNS[RUNS[cell.run]]}:${job}`;
  const history = new GetExecutionHistoryCommand({ executionArn, maxResults: 1000 });
  let input: string | undefined;
  while (input === undefined) {
    const { events = [] } = await runtime.sfn.send(history);
    let state = '';
    for (const event of events) {
      state = event.stateEnteredEventDetails?.name ?? state;
      if (state === step) input = event.lambdaFunctionScheduledEventDetails?.input ?? input;
    }
  }
  const state = JSON.parse(input);
  // What it answers, or that it is refused, nobody is told.
  await world.as(step, job, () => STEP_HANDLERS[step].in(runtime)(state as never)).catch(() => undefined);
  return undefined;
}
