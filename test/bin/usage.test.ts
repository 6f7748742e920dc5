import { expect, it } from 'vitest';
import { xensnap } from './command-line.ts';

const COMMANDS = [
  ...['snapshot', 'vms', 'hosts', 'jobs', 'job', 'cancel', 'schedule', 'report', 'retention'],
  ...['images', 'restore', 'restores', 'destroy-kept'],
  ...['unpack', 'janitor', 'doctor', 'pool', 'glance'],
];

it('lists every command in its help', async () => {
  const { status, stdout } = await xensnap(['--help']);
  expect(status).toBe(0);
  for (const command of ['local', ...COMMANDS]) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
});

const BELOW = ['list', 'show', 'add', 'change', 'enable', 'disable', 'remove'].map(
  (name) => `schedule ${name}`,
);

it.each([...COMMANDS, ...BELOW])('explains %s with examples', async (command) => {
  const { status, stdout, stderr } = await xensnap([...command.split(' '), '--help']);
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toContain(`Usage: xensnap ${command}`);
  expect(stdout).toContain(`$ xensnap ${command}`);
});

it.each([
  [['snapshot'], "missing required argument 'vm'"],
  [['snapshot', 'web-1', '--wiat'], "unknown option '--wiat' (Did you mean --wait?)"],
  [['snapshot', 'web-1', '--quiesce', 'always'], 'Allowed choices are never, prefer, require.'],
  [['snapshot', 'web-1', '--metadata', 'owner'], 'It must be key=value.'],
  [['snapshot', 'web-1', '--metadata', 'a=1', '--metadata', 'a=2'], '"a" is said twice.'],
  [['snapshot', 'web-1', '--max-size-gib', '0'], 'It must be a number above 0.'],
  [['snapshot', 'web-1', '--backup', 'daily'], '--backup and --keep are given together'],
  [['jobs', '--limit', 'many'], 'It must be a whole number from 1 to 100000.'],
  [['job', 'a', 'b'], 'too many arguments'],
  [['restore'], 'name an image, or with --vm the VM'],
  [['restore', 'i', '--vm', 'web-1'], 'give either an image, or --vm'],
  [['restore', '--vm', 'web-1', '--shutdown'], '--shutdown goes with --into'],
  [['restore', '--vm', 'web-1', '--device', '1'], '--device goes with --into'],
  [['restore', '--vm', 'web-1', '--boot'], '--boot goes with --test'],
  [['restore', '--vm', 'web-1', '--test', '--start'], "'--test' cannot be used with option '--start'"],
  [
    ['restore', '--vm', 'web-1', '--test', '--into', 'x'],
    "'--test' cannot be used with option '--into <vm>'",
  ],
  [['restore', '--vm', 'web-1', '--into', 'x', '--name', 'y'], "cannot be used with option '--name <name>'"],
  [['restore', '--vm', 'web-1', '--disks-only', '--start'], "cannot be used with option '--start'"],
  [['restore', 'x', '--network', '0=a', '--network', '0=b'], '"0" is said twice.'],
  [['restores', '--kept', '--status', 'failed'], "'--kept' cannot be used with option '--status <status>'"],
  [['restores', '--image', 'nightly'], '--image takes an image\'s id, and "nightly" is none'],
  [['restore', 'i', '--at', '2026-11-20'], '--at goes with --vm'],
  [['restore', '--vm', 'web-1', '--at', '2026-02-30'], 'It must be a moment such as 2026-11-20'],
  [['schedule', 'add', 'web-1', '--daily', '02:00'], '--keep says how many backups stay'],
  [['schedule', 'add', '--weekly', 'sunday'], 'It must be a day and a time'],
  [['report', '--date', 'tomorrow'], 'It must be a day of the calendar such as'],
  [['report', '--date', '2026-13-45'], 'It must be a day of the calendar such as'],
  [['report', '--date', '2026-02-30'], 'It must be a day of the calendar such as'],
  [['janitor', '--last', '--dry-run'], "option '--last' cannot be used with option '--dry-run'"],
  [['pool', '--port', '65536'], 'It must be a whole number from 0 to 65535.'],
  [['vms', '--api', 'localhost'], 'is no http(s) URL'],
  [['vms', '--api', 'https://u:planted@example.com'], 'holds no user and no password'],
  [['vms', '--auth', 'basic'], 'Allowed choices are none, iam, token, bearer.'],
  [['vms', '--token-file', 'f'], '--token-file needs --auth token'],
  [['vms', '--auth', 'token', '--region', 'eu-central-1'], '--region is for the signature'],
])('refuses %j with one line, a hint and status 2', async (args, message) => {
  const { status, stdout, stderr } = await xensnap(args);
  expect([status, stdout]).toEqual([2, '']);
  const [line, hint, ...more] = stderr.trimEnd().split('\n');
  expect(line).toMatch(/^xensnap: /);
  expect(line).toContain(message);
  expect(hint).toBe(`Try: xensnap ${args.slice(0, args[0] === 'schedule' ? 2 : 1).join(' ')} --help`);
  expect(more).toEqual([]);
});

it('takes options that stand before their command', async () => {
  const { status, stderr } = await xensnap(['--api', 'http://127.0.0.1:9', 'schedule', 'list']);
  expect([status, stderr]).toEqual([1, expect.stringContaining('nothing answers at http://127.0.0.1:9')]);
  const wrong = await xensnap(['--nope', 'vms']);
  expect([wrong.status, wrong.stderr]).toEqual([
    2,
    "xensnap: unknown option '--nope'\nTry: xensnap vms --help\n",
  ]);
});

it('guesses what a mistyped command was to be', async () => {
  const { status, stderr } = await xensnap(['snpshot', 'web-1']);
  expect(status).toBe(2);
  expect(stderr).toBe("xensnap: unknown command 'snpshot' (Did you mean snapshot?)\nTry: xensnap --help\n");
  const below = await xensnap(['schedule', 'lst']);
  expect(below.stderr).toBe(
    "xensnap: unknown command 'lst' (Did you mean list?)\nTry: xensnap schedule --help\n",
  );
});

it('shows its help and ends with status 2 when it is called without a command', async () => {
  const { status, stdout, stderr } = await xensnap([]);
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toContain('Usage: xensnap');
});

it('says how to start the service when nothing answers', async () => {
  const { status, stdout, stderr } = await xensnap(['vms'], { XENSNAP_API: 'http://127.0.0.1:9' });
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toBe(
    'xensnap: nothing answers at http://127.0.0.1:9 - is "npm start" running? (XENSNAP_API names another address)\n',
  );
});

it('says what to look at when nothing answers elsewhere', async () => {
  // fetch itself refuses this port, wherever the tests run.
  const { status, stderr } = await xensnap(['vms', '--api', 'http://0.0.0.0:9']);
  expect(status).toBe(1);
  expect(stderr).toBe(
    'xensnap: nothing answers at http://0.0.0.0:9 - is the address right, and its certificate trusted? (bad port)\n',
  );
});
