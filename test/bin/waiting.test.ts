import { expect, it } from 'vitest';
import type { JobView } from '../../functions/api/view.ts';
import { startXensnap, xensnap } from './command-line.ts';
import { aJobView, JOB_ID, SUCCEEDED, stubApi } from './stub-api.ts';

/** An API whose job is one of `views` further at each look, and stays at the last. */
function apiOf(...views: Partial<JobView>[]) {
  let look = -1;
  return stubApi({
    'POST /snapshots': () => [202, aJobView({ status: 'starting', phase: 'Requested', progress: 0 })],
    [`DELETE /snapshots/${JOB_ID}`]: () => [202, aJobView()],
    [`GET /snapshots/${JOB_ID}`]: () => {
      look = Math.min(look + 1, views.length - 1);
      return [200, aJobView(views[look])];
    },
  });
}

it('waits for a job with a line for each change, and ends with a report and status 0', async () => {
  await using api = await apiOf({ bytesRead: 2 ** 20, bytesTotal: 2 ** 21, etaSeconds: 5 }, SUCCEEDED);
  const { status, stdout, stderr } = await xensnap(['snapshot', 'web-1', '--wait', '--api', api.url]);
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout.split('\n').slice(0, 4)).toEqual([
    `Job ${JOB_ID}: an image of web-1 in the pool demo`,
    'PollUpload  40 %  1.0 MiB of 2.0 MiB  ETA 0:05',
    'succeeded  100 %',
    'warning: it was cold',
  ]);
  expect(stdout).toContain('sha512       abc123');
  expect(stdout).not.toContain('\u001b');
});

it('ends with status 1 and the reason when the job fails', async () => {
  const error = { name: 'StorageFull', message: 'The storage repository is full.' };
  await using api = await apiOf({ status: 'failed', error, finishedAt: '2026-01-01T00:00:09.000Z' });
  const { status, stderr } = await xensnap(['job', JOB_ID, '--wait', '--api', api.url]);
  expect(status).toBe(1);
  expect(stderr).toBe(`xensnap: the job ${JOB_ID} failed: The storage repository is full.\n`);
});

it('prints the final job alone with --json', async () => {
  await using api = await apiOf(SUCCEEDED);
  const { status, stdout } = await xensnap(['snapshot', 'web-1', '--wait', '--json', '--api', api.url]);
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toEqual(aJobView(SUCCEEDED));
});

it('takes a cancelled job as the success of cancel --wait', async () => {
  await using api = await apiOf({ status: 'cancelled', finishedAt: '2026-01-01T00:00:09.000Z' });
  expect((await xensnap(['cancel', JOB_ID, '--wait', '--api', api.url])).status).toBe(0);
});

it.each([
  ['at Ctrl-C', 0],
  ['at Ctrl-C that npm hands on once more', 5],
])('says %s that the job goes on, and how to cancel it', async (_, echoes) => {
  await using api = await apiOf({ progress: 40 });
  const running = startXensnap(['snapshot', 'web-1', '--wait', '--api', api.url]);
  await running.printed('PollUpload  40 %');
  running.signal('SIGINT');
  for (let n = 0; n < echoes; n++) {
    await new Promise(setImmediate);
    running.signal('SIGINT');
  }
  const { status, stderr } = await running.ended;
  expect(status).toBe(130);
  expect(stderr).toBe(`xensnap: the job goes on; cancel it with: xensnap cancel ${JOB_ID}\n`);
  expect(api.requests.map(({ line }) => line)).not.toContain(`DELETE /snapshots/${JOB_ID}`);
});
