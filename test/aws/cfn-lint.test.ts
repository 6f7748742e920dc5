import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';
import { limitsOf } from '../../cdk/limits.ts';
import newVpc from '../../docs/new-vpc.example.json' with { type: 'json' };
import { EXAMPLE, largeSettings, TWO_POOLS } from '../cdk/settings.ts';
import { synthesize } from '../cdk/synth.ts';

const folder = mkdtempSync(join(tmpdir(), 'xensnap-cfn-lint-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Templates of all kinds that the settings can make. */
const SETTINGS: Readonly<Record<string, unknown>> = {
  'the example: a VPC that is there, IAM': EXAMPLE,
  'the second example: a new VPC, Keystone': newVpc,
  'a transit gateway, secrets that are there, nothing kept': TWO_POOLS,
  'JWT, reserved concurrency, endpoints that are there': {
    ...EXAMPLE,
    authorisation: { type: 'jwt', issuer: 'https://id.example', audience: ['x'] },
    reserveConcurrency: true,
    network: {
      existing: { ...EXAMPLE.network.existing, endpoints: [], dynamodbPrefixListId: 'pl-0a1b2c3d' },
    },
  },
  '400 hosts in 40 pools': largeSettings({ pools: 40, hosts: 10 }),
  '64 hosts in one pool': largeSettings({ pools: 1, hosts: 64 }),
};

/**
 * Rules that are left out: CDK writes down that a function waits for its role, which its reference to it says already
 * (W3005).
 */
const LEFT_OUT = ['W3005'];

/** It is no module that Python runs by its name, and its script may be on no PATH. */
const RUN = 'import sys; from cfnlint.runner import main; sys.exit(main())';

interface Finding {
  readonly Filename: string;
  readonly Level: string;
  readonly Message: string;
  readonly Rule: { readonly Id: string };
}

/** What cfn-lint finds in templates, by their files' names: rule, and what is wrong. */
async function lint(templates: Readonly<Record<string, object>>): Promise<Record<string, string[]>> {
  const files = Object.entries(templates).map(([name, template]) => {
    const file = join(folder, `${name.replaceAll(/[^A-Za-z0-9]+/g, '-')}.json`);
    writeFileSync(file, JSON.stringify(template));
    return { name, file };
  });
  const python = process.env.XENSNAP_AWS_PYTHON ?? 'python3';
  const regions = ['us-east-1', 'eu-central-1'];
  const args = ['-c', RUN, '--format', 'json', '--regions', ...regions, '--ignore-checks', ...LEFT_OUT];
  // It ends with a number of its own where it finds something.
  const { stdout } = await promisify(execFile)(python, [...args, '--', ...files.map(({ file }) => file)], {
    maxBuffer: 1e8,
  }).catch((error: { stdout?: string; stderr?: string }) => {
    if (!error.stdout) throw error;
    return { stdout: error.stdout };
  });
  const findings: Finding[] = JSON.parse(stdout);
  return Object.fromEntries(
    files.map(({ name, file }) => [
      name,
      findings
        .filter(({ Filename }) => Filename === file)
        .map(({ Level, Rule, Message }) => `${Level} ${Rule.Id} ${Message}`),
    ]),
  );
}

it('finds nothing in the templates of any settings', { timeout: 300_000 }, async () => {
  const templates = Object.fromEntries(
    Object.entries(SETTINGS).map(([name, settings]) => {
      const stack = synthesize(settings);
      stack.remove();
      return [name, stack.template];
    }),
  );
  for (const [name, template] of Object.entries(templates))
    console.log(
      [name, ...limitsOf(template).map(({ what, used, limit }) => `  ${used} of ${limit} ${what}`)].join(
        '\n',
      ),
    );
  expect(await lint(templates)).toEqual(Object.fromEntries(Object.keys(SETTINGS).map((name) => [name, []])));
});

it('would find what CloudFormation refuses', { timeout: 120_000 }, async () => {
  const Properties = { FifoQueue: 'perhaps', Colour: 'red' };
  const Resources = { Queue: { Type: 'AWS::SQS::Queue', Properties } };
  const found = await lint({ broken: { Resources } });
  expect(found.broken?.map((finding) => finding.split(' ').slice(0, 2).join(' ')).sort()).toEqual([
    'Error E3002',
    'Error E3012',
  ]);
});
