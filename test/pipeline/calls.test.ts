import { expect, it } from 'vitest';
import { scenario } from '../support/scenario.ts';

const POLLS = ['PollSnapshot', 'AwaitCoalesce', 'PollUpload'];

/** The xapi calls of one snapshot in a pool of so many VMs. */
async function callsOfOneSnapshot(vms: number) {
  /** Each state that was entered, and how many calls the network had seen by then. */
  const entered: { state: string; calls: number }[] = [];
  const calls = () => pool.calls.filter(({ channel }) => channel === 'tcp').length;
  const { pool, request, job } = await scenario({
    // Slow enough that no round of the janitor falls into it.
    speed: 2,
    pool: { vms, diskMib: 1 },
    // A token, which takes a xapi secret to the plugin, makes for the most calls.
    glance: { token: 'token' },
    service: {
      timings: { coalescePollSeconds: 1 },
      onState: (_job, state) => void entered.push({ state, calls: calls() }),
    },
  });
  const [vm] = pool.vms();
  const done = await job(await request(vm?.uuid ?? ''));
  expect(done.status).toBe('succeeded');
  const byState = entered.map(({ state, calls: before }, index) => ({
    state,
    calls: (entered[index + 1]?.calls ?? calls()) - before,
  }));
  // A poll that found nothing yet is one too many; the last of its kind is not.
  const waits = byState.filter(
    ({ state }, index) =>
      POLLS.includes(state) && byState.slice(index + 1).some((later) => later.state === state),
  );
  const other = byState.filter((each) => !waits.includes(each) && each.calls > 0);
  return {
    total: pool.calls.length,
    counted: done.xapiCalls,
    polls: byState.filter(({ state }) => POLLS.includes(state)).length,
    waits,
    network: {
      POST: entered[0]?.calls,
      ...Object.fromEntries(other.map((each) => [each.state, each.calls])),
    },
    // The plugin's own, in its control domain.
    plugin: pool.calls.filter(({ channel }) => channel === 'unix').map(({ method }) => method),
    logins: pool.calls.filter(({ method }) => method === 'session.login_with_password').length,
    logouts: pool.calls.filter(({ method }) => method === 'session.logout').length,
  };
}

it('makes as many xapi calls in a pool of 1,000 VMs as in one of 6, 78 and 5 for each poll at most', async () => {
  const few = await callsOfOneSnapshot(6);
  const many = await callsOfOneSnapshot(1000);
  expect({ network: many.network, plugin: many.plugin }).toEqual({
    network: few.network,
    plugin: few.plugin,
  });
  for (const { total, polls, waits, logins, logouts, counted, plugin } of [few, many]) {
    expect(total).toBeLessThanOrEqual(78 + 5 * polls);
    for (const wait of waits) expect(wait.calls).toBeLessThanOrEqual(5);
    expect(logouts).toBe(logins);
    // The job tells how many there were, but for the plugin's own.
    expect(counted).toBe(total - plugin.length);
  }
}, 300_000);
