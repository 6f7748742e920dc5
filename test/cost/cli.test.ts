import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const CLI = fileURLToPath(new URL('../../cost/cli.ts', import.meta.url));

function cost(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, ...args], (error, out, err) =>
      resolve({ status: error ? Number(error.code) : 0, out, err }),
    );
  });
}

it('prints a snapshot by service, and beside it what stands each month', async () => {
  const { status, out, err } = await cost('--size-gib', '40', '--upload-minutes', '20');
  expect({ status, err }).toEqual({ status: 0, err: '' });
  expect(out).toMatch(/^One snapshot of 40 GiB, uploaded in 20 minutes \(34 MiB\/s\): \$0\.00\d+\n/);
  for (const service of [
    'Step Functions',
    'Lambda',
    'SQS',
    'DynamoDB',
    'CloudWatch',
    'Secrets Manager',
    'VPC',
  ])
    expect(out).toContain(`  ${service} `);
  expect(out).toMatch(/What stands each month, without any snapshot: \$\d+\.\d\d/);
});

it('prints what docs/deploy.md says of that job, and of what stands each month', async () => {
  const docs = await readFile(new URL('../../docs/deploy.md', import.meta.url), 'utf8');
  const { out } = await cost('--size-gib', '40', '--upload-minutes', '20', '--json');
  const { snapshot, month } = JSON.parse(out);
  expect(docs).toContain(`For that job: $${snapshot.usd.toFixed(4)};`);
  expect(docs).toContain(`some $${Math.floor(month.standing.usd)} stand each month`);
});

it('prints the same as one JSON document', async () => {
  const { out } = await cost('--size-gib', '40', '--upload-minutes', '20', '--per-month', '30', '--json');
  const report = JSON.parse(out);
  expect(report.snapshot).toMatchObject({ sizeGib: 40, uploadMinutes: 20 });
  expect(report.snapshot.transitions).toBeLessThanOrEqual(100);
  expect(report.month.usd).toBeCloseTo(report.month.standing.usd + 30 * report.snapshot.usd, 9);
  expect(report.unverified).toContain('tableWrite');
});

it('shows its options with --help', async () => {
  const { status, out } = await cost('--help');
  expect(status).toBe(0);
  for (const option of ['--size-gib', '--upload-minutes', '--json', '--per-month'])
    expect(out).toContain(option);
});

it.each([
  [['--size-gib', 'x'], '--size-gib'],
  [['--size-gib', '-1'], '--size-gib'],
  [['--upload-minutes', ''], '--upload-minutes'],
  [['--upload-minutes', '0'], '--upload-minutes'],
  [['--upload-minutes', '5000'], '72 hours'],
  [['--pools', '1.5'], '--pools'],
  [['--size-gib'], '--size-gib'],
  [['--cheap'], '--cheap'],
  [['more'], 'arguments'],
])('exits 2 for %j, with a line that says why', async (args, reason) => {
  const { status, out, err } = await cost(...args);
  expect({ status, out }).toEqual({ status: 2, out: '' });
  expect(err).toContain(reason);
});
