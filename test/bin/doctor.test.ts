import { expect, it } from 'vitest';
import { xensnap } from './command-line.ts';
import { stubApi } from './stub-api.ts';

const well = {
  area: 'Glance',
  what: 'writing',
  status: 'ok',
  found: 'A record was made.',
  advice: null,
  error: null,
};
const warned = {
  ...well,
  area: 'pool demo',
  what: 'clock of xen1',
  status: 'warning',
  found: '90 s ahead of ours.',
};
const failed = {
  ...well,
  area: 'pool demo',
  what: 'plugin on a\u001b[2J',
  status: 'failed',
  found: 'It is missing.',
};

const reporting = (...checks: object[]) => stubApi({ 'GET /doctor': () => [200, { status: 'x', checks }] });

it('shows what was found under each area, with what to do, and ends with status 1 when something failed', async () => {
  await using api = await reporting(
    well,
    { ...warned, advice: 'Set up NTP.' },
    { ...failed, advice: 'Install it.', error: 'PluginMissing' },
  );
  const { status, stdout, stderr } = await xensnap(['doctor', '--api', api.url]);
  expect(stdout).toBe(
    [
      'Glance',
      '  ok       writing: A record was made.',
      'pool demo',
      '  warning  clock of xen1: 90 s ahead of ours.',
      '           -> Set up NTP.',
      '  failed   plugin on a?[2J: It is missing.',
      '           -> Install it.',
      '',
    ].join('\n'),
  );
  expect([status, stderr]).toEqual([1, 'xensnap: 1 of 3 checks failed\n']);
});

it('ends with status 0 when there are warnings alone', async () => {
  await using api = await reporting(well, warned);
  expect((await xensnap(['doctor', '--api', api.url])).status).toBe(0);
});

it('prints the report as one JSON document with --json', async () => {
  await using api = await reporting(failed);
  const { status, stdout } = await xensnap(['doctor', '--json', '--api', api.url]);
  expect([status, JSON.parse(stdout)]).toEqual([1, { status: 'x', checks: [failed] }]);
});
