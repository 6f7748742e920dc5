import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, expect, it, onTestFinished, vi } from 'vitest';
import { parseConfig } from '../../functions/config.ts';
import { STEPS } from '../../statemachine/contract.ts';
import { bundledFunctions } from './assembly.ts';
import { deploy } from './deployed.ts';
import { refusals } from './iam/rights.ts';
import { EXAMPLE } from './settings.ts';
import { synthesize } from './synth.ts';

// Once: the bundles are what takes time.
const stack = synthesize(EXAMPLE, { bundles: true });
const functions = bundledFunctions(stack);
const environmentBefore = { ...process.env };
afterAll(stack.remove);
afterEach(() => {
  // The object stays the one that it is: other files hold on to it.
  for (const name of Object.keys(process.env)) if (!(name in environmentBefore)) delete process.env[name];
  Object.assign(process.env, environmentBefore);
});

const ENDED = ['succeeded', 'failed', 'cancelled', 'skipped'];
const MOST_BYTES = { Api: 4_000_000, other: 1_500_000 };

it('bundles every step and entry, with its source map and the configuration beside it', () => {
  expect(functions.map(({ name }) => name).sort()).toEqual(
    [...Object.keys(STEPS), 'Admit', 'WakeLines', 'Reconcile', 'Janitor', 'Schedules', 'Api'].sort(),
  );
  for (const { file, files } of functions) {
    expect(files.toSorted()).toEqual(['config.json', 'index.mjs', 'index.mjs.map']);
    const config = parseConfig(readFileSync(join(dirname(file), 'config.json'), 'utf8'));
    expect(config.installation).toBe(EXAMPLE.installation);
    expect(readFileSync(file, 'utf8')).toMatch(/\/\/# sourceMappingURL=index\.mjs\.map\n$/);
  }
});

it('keeps bundles small', () => {
  for (const { name, codeBytes } of functions)
    expect(codeBytes, name).toBeLessThanOrEqual(name === 'Api' ? MOST_BYTES.Api : MOST_BYTES.other);
});

it('runs the whole pipeline on the bundles, within the rights that each role has', {
  timeout: 300_000,
}, async () => {
  const lines: string[] = [];
  for (const stream of [process.stdout, process.stderr])
    vi.spyOn(stream, 'write').mockImplementation((line) => lines.push(String(line)) > 0);
  onTestFinished(() => {
    vi.restoreAllMocks();
  });
  const deployed = await deploy(stack, (close) =>
    onTestFinished(async () => {
      await close();
    }),
  );
  const [first = '', second] = deployed.pool.vms().map(({ uuid }) => uuid);

  const asked = await deployed.ask('POST', '/snapshots', {
    vm: first,
    quiesce: 'never',
    backup: { type: 'daily', keep: 1 },
  });
  expect(asked).toMatchObject({ status: 202, body: { vm: { uuid: first } } });
  const done = await until(deployed, asked.body.id, ENDED);
  expect(done).toMatchObject({ status: 'succeeded', error: null, warnings: [], progress: 100 });
  await nothingIsLeft(deployed);

  const image = String(asked.body.id);
  expect(await deployed.restore(image)).toMatchObject({ status: 'succeeded' });
  expect(await deployed.restore(image, { test: true })).toMatchObject({ status: 'succeeded' });
  deployed.glance.faults.add({ method: 'GET', path: /\/file$/, status: 403, times: 9 });
  expect(await deployed.restore(image)).toMatchObject({ status: 'failed' });
  deployed.glance.faults.clear();
  const into = { into: first, shutdown: true };
  expect(await deployed.restore(image, into)).toMatchObject({ status: 'succeeded' });
  deployed.glance.faults.clear();
  await deployed.settled();
  await nothingIsLeft(deployed);

  deployed.glance.faults.add({ method: 'PUT', path: /\/file$/, status: 413, body: 'over quota' });
  const failing = await deployed.ask('POST', '/snapshots', { vm: first, force: true });
  expect(await until(deployed, failing.body.id, ENDED)).toMatchObject({ status: 'failed' });
  await deployed.settled();
  await nothingIsLeft(deployed);

  const stopped = await deployed.ask('POST', '/snapshots', { vm: second });
  await until(deployed, stopped.body.id, ['running']);
  expect((await deployed.ask('DELETE', `/snapshots/${stopped.body.id}`)).status).toBe(202);
  expect(await until(deployed, stopped.body.id, ['cancelled'])).toMatchObject({ status: 'cancelled' });
  await deployed.settled();
  await nothingIsLeft(deployed);
  expect(await deployed.scheduled('JanitorSchedule', 'Janitor')).toEqual({ findings: 0, wake: [] });
  // A slot that a job has left behind, and a line that waits for it, whose message is no more.
  const { counters } = deployed.runtime.store;
  const slots = `host#demo/${deployed.pool.hosts[0]?.uuid}` as const;
  await counters.take(slots, String(asked.body.id), 1);
  await counters.wait(slots, { line: 'demo/elsewhere', receipt: 'gone', since: 1 }, 1);
  expect(await deployed.scheduled('JanitorSchedule', 'Janitor')).toMatchObject({ wake: [slots] });
  expect(await counters.waiting(slots)).toEqual([]);
  await deployed.scheduled('BackupsSchedule', 'Schedules');

  const made = deployed.calls.made();
  expect([...new Set(made.map(({ caller }) => caller))]).toEqual(
    expect.arrayContaining([...functions.map(({ name }) => name), 'StateMachine', 'RestoreMachine']),
  );
  expect(refusals(made, deployed.rights)).toEqual([]);
  expect(lines.filter((line) => line.includes(String(asked.body.id))).length).toBeGreaterThan(0);
});

type Deployed = Awaited<ReturnType<typeof deploy>>;

async function until({ ask }: Deployed, jobId: unknown, statuses: readonly string[]) {
  for (;;) {
    const { body } = await ask('GET', `/snapshots/${jobId}`);
    if (statuses.includes(String(body.status))) return body;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The outcome is told before the VM is free: what is left is gone soon after. */
async function nothingIsLeft(deployed: Deployed): Promise<void> {
  await expect.poll(() => deployed.leftBehind(), { timeout: 60_000 }).toEqual([]);
}
