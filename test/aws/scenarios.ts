import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import { saveSchedule } from '../../functions/schedules/save.ts';
import type { Deployed } from '../cdk/deployed.ts';
import type { Interference } from './interference.ts';

/** What a scenario is played on. */
export interface Stage extends Interference {
  readonly deployed: Deployed;
  readonly vms: readonly string[];
}

/** The jobs of a scenario, by what each is in it. */
export type Jobs = Readonly<Record<string, string>>;

const ENDED = ['succeeded', 'failed', 'cancelled'];

/** One after the other, on each engine. What they need of each other is Glance's images. */
export const SCENARIOS: Readonly<Record<string, (stage: Stage) => Promise<Jobs>>> = {
  async 'a backup, and the next one, which replaces it'(stage) {
    const backup = { quiesce: 'never', backup: { type: 'daily', keep: 1 } };
    const first = await snapshot(stage, 0, backup);
    await ended(stage, first, 'succeeded');
    const second = await snapshot(stage, 0, backup);
    await ended(stage, second, 'succeeded');
    return { first, second };
  },

  async 'restores: kept, into a VM, of a test'(stage) {
    const image = await imageOf(stage);
    const { deployed, vms } = stage;
    const kept = await deployed.restore(image);
    const into = await deployed.restore(image, { into: vms[0], shutdown: true });
    const test = await deployed.restore(image, { test: true });
    expect([kept, into, test].map(({ status }) => status)).toEqual(['succeeded', 'succeeded', 'succeeded']);
    return { kept: kept.id, into: into.id, test: test.id };
  },

  async 'a step tried again by the name of its error'(stage) {
    const { pool } = stage.deployed;
    const params = ['VM', 'OpaqueRef:x'];
    pool.faults.add({
      method: 'VM.add_to_other_config',
      code: 'OTHER_OPERATION_IN_PROGRESS',
      params,
      times: 2,
    });
    const job = await snapshot(stage, 0, { force: true });
    await ended(stage, job, 'succeeded');
    return { job };
  },

  async 'steps that Lambda throttles, ends, cannot place or loses'(stage) {
    stage.fail('TakeVm', 'Lambda.TooManyRequestsException');
    stage.fail('InspectVm', 'Sandbox.Timedout');
    stage.fail('StartUpload', 'Lambda.ServiceException');
    stage.fail('DestroySnapshot', 'Lambda.Unknown');
    const job = await snapshot(stage, 0, { force: true });
    await ended(stage, job, 'succeeded');
    return { job };
  },

  async 'a line: one at a time, in their order, and one that is cancelled in it'(stage) {
    const holder = stage.hold('StartUpload');
    const first = await snapshot(stage, 0, { force: true });
    await holder.reached;
    const second = await snapshot(stage, 1, { force: true });
    await inLine(stage, second);
    const third = await snapshot(stage, 2, { force: true });
    await inLine(stage, third);
    const gone = await snapshot(stage, 3, { force: true });
    await inLine(stage, gone);
    expect((await stage.deployed.ask('DELETE', `/snapshots/${gone}`)).status).toBe(202);
    await ended(stage, gone, 'cancelled');
    holder.letGo();
    for (const job of [first, second, third]) await ended(stage, job, 'succeeded');
    const granted = await Promise.all([first, second, third].map((job) => grantedAt(stage, job)));
    expect(granted.toSorted((one, other) => one - other)).toEqual(granted);
    return { first, second, third, gone };
  },

  async "a line's timeout"(stage) {
    const holder = stage.hold('StartUpload');
    const first = await snapshot(stage, 0, { force: true });
    await holder.reached;
    const late = await restore(stage, {});
    await ended(stage, late, 'failed', 'restores');
    holder.letGo();
    await ended(stage, first, 'succeeded');
    return { first, late };
  },

  async 'a failure, with its cleanup line'(stage) {
    const { glance } = stage.deployed;
    glance.faults.add({ method: 'PUT', path: /\/file$/, status: 413, body: 'over quota' });
    const job = await snapshot(stage, 0, { force: true });
    await ended(stage, job, 'failed');
    glance.faults.clear();
    return { job };
  },

  async 'cancelled while a step is at work'(stage) {
    const held = stage.hold('StartUpload');
    const job = await snapshot(stage, 0, { force: true });
    await held.reached;
    expect((await stage.deployed.ask('DELETE', `/snapshots/${job}`)).status).toBe(202);
    held.letGo();
    await ended(stage, job, 'cancelled');
    return { job };
  },

  async 'a restore into a VM, given up after the exchange of its disk'(stage) {
    stage.fail('FinishRestore', 'SomethingUnforeseen');
    const job = await restore(stage, { into: stage.vms[0], shutdown: true });
    await ended(stage, job, 'failed', 'restores');
    return { job };
  },

  async 'a restore that fails while it downloads'(stage) {
    stage.fail('PollDownload', 'SomethingUnforeseen');
    const job = await restore(stage, {});
    await ended(stage, job, 'failed', 'restores');
    return { job };
  },

  async 'a restore cancelled while it downloads'(stage) {
    const held = stage.hold('PollDownload');
    const job = await restore(stage, {});
    await held.reached;
    expect((await stage.deployed.ask('DELETE', `/restores/${job}`)).status).toBe(202);
    held.letGo();
    await ended(stage, job, 'cancelled', 'restores');
    expect((await stage.deployed.ask('GET', `/restores/${job}/events`)).status).toBe(200);
    return { job };
  },

  async 'a schedule, the lists and the janitor'(stage) {
    const { deployed, vms } = stage;
    const { runtime, ask } = deployed;
    const wish = { timing: { rate: '1 hour' }, keep: 3, backupType: 'hourly', vm: vms[1] ?? '' };
    const past = { now: () => new Date(Date.now() - 3_660_000) };
    const { id } = await saveSchedule(randomUUID(), wish, { ...runtime, clock: past });
    await deployed.scheduled('BackupsSchedule', 'Schedules');
    const { body } = await ask('GET', '/snapshots');
    const [{ id: job }] = body.snapshots as [{ id: string }];
    await ended(stage, job, 'succeeded');
    await deployed.scheduled('BackupsSchedule', 'Schedules');
    expect(await deployed.scheduled('JanitorSchedule', 'Janitor')).toMatchObject({ findings: 0 });
    for (const path of LISTS.map((each) => each.replace('{job}', job).replace('{vm}', vms[1] ?? '')))
      expect((await ask('GET', path)).status, path).toBe(200);
    expect((await ask('DELETE', `/schedules/${id}`)).status).toBeLessThan(300);
    return { job };
  },
};

const LISTS = [
  '/snapshots?vm={vm}',
  '/snapshots?status=succeeded',
  '/snapshots/{job}/events',
  '/restores',
  '/schedules',
  '/images?vm={vm}',
  '/reports',
  '/janitor',
  '/hosts',
];

async function snapshot({ deployed, vms }: Stage, vm: number, wish: object): Promise<string> {
  const { status, body } = await deployed.ask('POST', '/snapshots', { vm: vms[vm], ...wish });
  if (status !== 202) throw new Error(`${status} ${JSON.stringify(body)}`);
  return String(body.id);
}

async function restore(stage: Stage, wish: object): Promise<string> {
  const image = await imageOf(stage);
  const { status, body } = await stage.deployed.ask('POST', '/restores', { image, ...wish });
  if (status !== 202) throw new Error(`${status} ${JSON.stringify(body)}`);
  return String(body.id);
}

/** Waits for a job's end, and until nothing is left of it but its image. */
async function ended({ deployed }: Stage, job: string, status: string, kind = 'snapshots'): Promise<void> {
  let last: Record<string, unknown> = {};
  const look = async () => {
    last = (await deployed.ask('GET', `/${kind}/${job}`)).body;
    return ENDED.includes(String(last.status)) && (last.owes as unknown[]).length === 0;
  };
  await expect.poll(look, { timeout: 90_000, interval: 250 }).toBe(true);
  expect(last.status, JSON.stringify(last)).toBe(status);
  await deployed.settled();
}

async function inLine({ deployed }: Stage, job: string): Promise<void> {
  const waits = async () => (await deployed.history(job)).some(({ type }) => type === 'TaskSubmitted');
  await expect.poll(waits, { timeout: 60_000, interval: 250 }).toBe(true);
}

/** When the job's place in the line became a slot. */
async function grantedAt({ deployed }: Stage, job: string): Promise<number> {
  const granted = (await deployed.history(job)).find(({ type }) => type === 'TaskSucceeded');
  return granted?.timestamp?.getTime() ?? Number.NaN;
}

async function imageOf({ deployed, vms }: Stage): Promise<string> {
  const { body } = await deployed.ask('GET', `/images?vm=${vms[0]}`);
  const found = (body.images as { id: string; verified: boolean }[]).find(({ verified }) => verified);
  return found?.id ?? 'none';
}
