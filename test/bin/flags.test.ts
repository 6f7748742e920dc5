import { expect, it } from 'vitest';
import { xensnap } from './command-line.ts';
import { stubApi } from './stub-api.ts';

const SCHEDULE = ['schedule', 'add', 'web-1', '--daily', '25:00', '--keep', '3'];

/** What a command says, and ends with, when the API refuses its request so. */
async function refused(args: readonly string[], line: string, refusal: object) {
  await using api = await stubApi({ [line]: () => [400, { error: { name: 'BadRequest', ...refusal } }] });
  return await xensnap([...args, '--api', api.url]);
}

it.each([
  [SCHEDULE, '/schedules', 'daily.at: must be a time of day.', '--daily: must be a time of day.'],
  [SCHEDULE, '/schedules', 'backupType: is missing.', '--type: is missing.'],
  [SCHEDULE, '/schedules', 'restoreTest.sr: is not there.', '--restore-test-sr: is not there.'],
  [SCHEDULE, '/schedules', 'selector.tag: is long.', '--tag: is long.'],
  [['snapshot', 'web-1'], '/snapshots', 'backup.keep: must be a number.', '--keep: must be a number.'],
  [['snapshot', 'web-1'], '/snapshots', 'metadata.a: is long.', '--metadata: is long.'],
])(
  'says of the option that was typed what the API says of its field: %j %s %s',
  async (args, path, message, told) => {
    const { status, stdout, stderr } = await refused(args, `POST ${path}`, { message });
    const command = args.slice(0, args[0] === 'schedule' ? 2 : 1).join(' ');
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toBe(`xensnap: ${told}\nTry: xensnap ${command} --help\n`);
  },
);

it('says it of each of several fields', async () => {
  const fields = [
    { field: 'maxSizeGib', message: 'must be at least 1' },
    { field: 'vm', message: 'is missing: no VM' },
  ];
  const message = 'maxSizeGib: must be at least 1; vm: is missing: no VM';
  const { status, stderr } = await refused(['snapshot', 'web-1'], 'POST /snapshots', { message, fields });
  expect(status).toBe(2);
  expect(stderr).toMatch(/^xensnap: --max-size-gib: must be at least 1; vm: is missing: no VM\n/);
});

it.each(['The body is not JSON.', 'constructor: is not taken.', 'vm: give either one VM or a selector.'])(
  'leaves as it is what is of no option: %s',
  async (message) => {
    const { status, stderr } = await refused(['snapshot', 'web-1'], 'POST /snapshots', { message });
    expect([status, stderr]).toEqual([1, `xensnap: ${message}\n`]);
  },
);

it('gives scripts the same words', async () => {
  const message = 'daily.at: must be a time of day.';
  const { status, stdout } = await refused([...SCHEDULE, '--json'], 'POST /schedules', { message });
  const error = { name: 'BadRequest', message: '--daily: must be a time of day.' };
  expect([status, JSON.parse(stdout)]).toEqual([2, { error }]);
});
