import { Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { expect, it } from 'vitest';
import { ApiRefused, ApiUnreachable } from '../../bin/failures.ts';
import { followJob } from '../../bin/follow.ts';
import type { JobView } from '../../functions/api/view.ts';
import { aJobView, SUCCEEDED } from './stub-api.ts';

/** What was written to a stream that is a terminal of so many columns, or none. */
function anOut(columns?: number) {
  let written = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      written += chunk;
      done();
    },
  });
  const out = Object.assign(stream, columns === undefined ? {} : { isTTY: true, columns }) as unknown;
  return { out: out as NodeJS.WriteStream, written: () => written };
}

/** A clock that lets a second pass at each sleep, at once. */
function aClock() {
  let seconds = 0;
  return {
    now: () => new Date(seconds * 1000),
    sleep: async (slept: number) => {
      seconds += slept;
    },
  };
}

function looks(...answers: (Partial<JobView> | Error)[]): () => Promise<JobView> {
  return async () => {
    const next = answers.length > 1 ? answers.shift() : answers[0];
    if (next instanceof Error) throw next;
    return aJobView(next);
  };
}

it('draws one line in its place on a terminal, with bar, bytes, rate and time left', async () => {
  const { out, written } = anOut(100);
  const getJob = looks(
    { bytesRead: 0, bytesTotal: 2 ** 30, progress: 12 },
    { bytesRead: 2 ** 29, bytesTotal: 2 ** 30, progress: 46, etaSeconds: 4 },
    SUCCEEDED,
  );
  await followJob({ getJob, out, clock: aClock(), intervalSeconds: 4 });
  const drawn = written().split('\r\u001b[K').slice(1);
  expect(drawn).toHaveLength(3);
  expect(drawn[1]).toMatch(/PollUpload +\[#+-+\] +46 % +512\.0 MiB of 1\.0 GiB +128\.0 MiB\/s +ETA 0:04/);
  expect(written().endsWith('\n')).toBe(true);
  expect(written().indexOf('\n')).toBe(written().length - 1);
});

it.each([20, 40, 60, 80, 200])('keeps the line within a terminal of %i columns', async (columns) => {
  const { out, written } = anOut(columns);
  const full = { bytesRead: 1023 * 2 ** 30, bytesTotal: 1024 * 2 ** 30, etaSeconds: 36_000 };
  await followJob({ getJob: looks(full, { ...full, ...SUCCEEDED }), out, clock: aClock() });
  for (const line of written().split(/\r|\n/))
    expect(stripVTControlCharacters(line).length).toBeLessThan(columns);
});

it('takes a terminal that does not say its width for one of 80 columns', async () => {
  const { out, written } = anOut(0);
  await followJob({ getJob: looks({}, SUCCEEDED), out, clock: aClock() });
  expect(written()).toMatch(/PollUpload +\[#+-+\] +40 %/);
});

it('tells of changes only where the output is no terminal', async () => {
  const { out, written } = anOut();
  const getJob = looks({ progress: 40 }, { progress: 41 }, { progress: 50, warnings: ['slow'] }, SUCCEEDED);
  const job = await followJob({ getJob, out, clock: aClock() });
  expect(job.status).toBe('succeeded');
  expect(written()).toBe('PollUpload  40 %\nPollUpload  50 %\nwarning: slow\nsucceeded  100 %\n');
});

it('bears with an API that is away for a moment', async () => {
  const away = new ApiUnreachable('nothing answers');
  const job = await followJob({
    getJob: looks({}, away, away, away, SUCCEEDED),
    out: anOut().out,
    clock: aClock(),
  });
  expect(job.status).toBe('succeeded');
});

it('gives up when the API stays away or does not know the job', async () => {
  const follow = (error: Error) => followJob({ getJob: looks(error), out: anOut().out, clock: aClock() });
  await expect(follow(new ApiUnreachable('nothing answers'))).rejects.toThrow('nothing answers');
  await expect(follow(new ApiRefused('There is no job x.', 404))).rejects.toThrow('There is no job x.');
});

const FAILING = {
  retrying: {
    ...{ name: 'KeystoneUnavailable', message: 'Keystone does not answer.', state: 'PollUpload' },
    ...{ failures: 3, since: '1970-01-01T00:00:00.000Z', at: '1970-01-01T00:00:01.000Z' },
    nextTryBy: new Date(1970, 0, 1, 14, 32, 5).toISOString(),
  },
} satisfies Partial<JobView>;

it('says why the job gets no further, and by when it is tried again, by the clock of who looks', async () => {
  const [plain, wide] = [anOut(), anOut(100)];
  const getJob = () => looks({}, FAILING, FAILING, {}, { waiting: WAITING }, SUCCEEDED);
  await followJob({ getJob: getJob(), out: plain.out, clock: aClock() });
  expect(plain.written().split('\n').slice(0, 5)).toEqual([
    'PollUpload  40 %',
    expect.stringMatching(/^PollUpload {2}40 % {2}Keystone does not answer, 4th try by (\S+ )?14:32:05$/),
    'PollUpload  40 %',
    'PollUpload  40 %  waits for a slot of host xen1',
    'succeeded  100 %',
  ]);
  await followJob({ getJob: getJob(), out: wide.out, clock: aClock() });
  expect(wide.written()).toMatch(/PollUpload +40 % +Keystone does not answer, 4th try by (\S+ )?14:32:05/);
});
const WAITING = { for: 'slot', since: null, until: null, reason: null } as const;

it.each([40, 60, 80])('shortens the reason, not the time, on a terminal of %i columns', async (columns) => {
  const { out, written } = anOut(columns);
  const long = { retrying: { ...FAILING.retrying, message: 'The pool is busy: '.repeat(20) } };
  await followJob({ getJob: looks(long, SUCCEEDED), out, clock: aClock() });
  const line = stripVTControlCharacters(written().split('\r')[1] ?? '');
  expect(line.length).toBeLessThan(columns);
  if (columns > 40) expect(line).toMatch(/…, 4th try by (\S+ )?14:32:05$/);
});
