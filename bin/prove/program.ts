import { Command, CommanderError } from 'commander';
import { authOptions } from '../auth/authentication.ts';
import { type ClientOptions, createClient } from '../client.ts';
import { CommandFailure, UsageFailure } from '../failures.ts';
import { heed, TERMINATION } from '../interrupt.ts';
import { AwsFailure, createAws } from './aws.ts';
import { CALLERS } from './callers.ts';
import type { Section } from './check.ts';
import { CommandEnded, commandOutput } from './command-output.ts';
import { DEPLOY, NETWORK } from './deploy.ts';
import { CANCEL, ENDS } from './ends.ts';
import { ERRORS } from './errors.ts';
import { FIRST_JOB, HISTORY } from './first-job.ts';
import { groundOf } from './ground.ts';
import { QUEUE, TOKENS } from './queue.ts';
import { LOGS, RIGHTS } from './rights.ts';
import { runChecks } from './run.ts';
import { findStack } from './stack.ts';

const SECTIONS: readonly Section[] = [
  { name: 'deploy', checks: DEPLOY },
  { name: 'network', checks: NETWORK },
  { name: 'callers', checks: CALLERS },
  { name: 'job', checks: FIRST_JOB },
  { name: 'history', checks: HISTORY },
  { name: 'tokens', checks: TOKENS },
  { name: 'errors', checks: ERRORS },
  { name: 'queue', checks: QUEUE },
  { name: 'cancel', checks: CANCEL },
  { name: 'ends', checks: ENDS },
  { name: 'logs', checks: LOGS },
  // Last: it looks at what all the others have been refused.
  { name: 'rights', checks: RIGHTS },
];
const NAMES = SECTIONS.map(({ name }) => name);

interface Options extends ClientOptions {
  readonly vm: readonly string[];
  readonly only: readonly string[];
  readonly disturb?: boolean;
  readonly list?: boolean;
}

const HELP = `
It needs the AWS CLI with credentials of the stack's account. What it makes it takes away: jobs are cancelled, and
their images deleted by "openstack image delete", where the OpenStack client is on PATH and logs in by its OS_ variables.
It exits with 1 if a check failed, something was left, or it was interrupted.

Sections: ${NAMES.join(', ')}

Examples:
  $ npm run -s prove:aws -- xensnap-example
  $ npm run -s prove:aws -- xensnap-example --vm web-1 --vm web-2
  $ npm run -s prove:aws -- xensnap-example --vm web-1 --only errors --only ends --disturb`;

/** Runs one command line; answers the process's exit status. */
export async function prove(args: readonly string[]): Promise<number> {
  const collect = (value: string, before: readonly string[]) => [...before, value];
  const command = new Command('prove-aws')
    .description('Go through what only an AWS account can prove of a deployed stack, and print what is so')
    .argument('[stack]', 'the name of the stack: xensnap-<installation>')
    .option('--vm <vm>', 'a VM that may be imaged, by name or UUID; again for more of them', collect, [])
    .option('--only <section>', 'this section alone; again for more of them', collect, [])
    .option('--disturb', 'also what disturbs the account: see --list')
    .option('--list', 'print the checks, and what each needs, without making them')
    .addHelpText('after', HELP)
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  for (const option of authOptions()) command.addOption(option);
  let status = 0;
  command.action(async (stack: string | undefined, options: Options) => {
    status = await proveStack(stack, options);
  });
  try {
    await command.parseAsync(args, { from: 'user' });
    return status;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const usage = error instanceof CommanderError || error instanceof UsageFailure;
    if (!usage && !(error instanceof CommandFailure || error instanceof AwsFailure)) throw error;
    process.stderr.write(`prove-aws: ${error.message.replace(/^error: /, '')}\n`);
    return usage ? 2 : 1;
  }
}

async function proveStack(
  name: string | undefined,
  { vm, only, disturb = false, list = false, ...auth }: Options,
): Promise<number> {
  const unknown = only.find((section) => !NAMES.includes(section));
  if (unknown !== undefined)
    throw new UsageFailure(`there is no section ${unknown}; there are ${NAMES.join(', ')}`);
  const sections = SECTIONS.filter((section) => only.length === 0 || only.includes(section.name));
  if (list) return listChecks(sections);
  if (name === undefined) throw new UsageFailure('say which stack: xensnap-<installation>');
  const aws = createAws(auth.region);
  const stack = await findStack(aws, name);
  const client = createClient({ ...auth, api: stack.apiUrl });
  const stopping = new AbortController();
  // Nobody may read any more, by `| head` or a terminal that was closed: what was made is taken away all the same.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  // What was made is still taken away; who cannot wait for that interrupts once more.
  const release = heed(TERMINATION, () => {
    stopping.abort();
    process.stderr.write('prove-aws: interrupted; takes away what it made. Once more, and that is left.\n');
  });
  try {
    const { signal } = stopping;
    const { ground, undoAll } = groundOf({ aws, stack, client, vms: vm, deleteImage, signal });
    return await runChecks(sections, { ground, undoAll, disturb, signal, print });
  } finally {
    release();
  }
}

function listChecks(sections: readonly Section[]): number {
  for (const { name, checks } of sections)
    for (const { line, needsVm, disturbs } of checks)
      print(
        `${name.padEnd(8)} ${line}${needsVm ? ' (--vm)' : ''}${disturbs ? ` (--disturb: ${disturbs})` : ''}`,
      );
  return 0;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** By OpenStack's own client: xensnap deletes no image because somebody says so. One that is gone is well. */
async function deleteImage(id: string): Promise<void> {
  try {
    await commandOutput('openstack', ['image', 'delete', id]);
  } catch (error) {
    const { message } = error as Error;
    const stderr = error instanceof CommandEnded ? error.stderr : '';
    if (/No image found|No Image found|404/.test(stderr)) return;
    throw new CommandFailure(`delete it by hand: ${stderr.trim().split('\n').at(-1) || message}`);
  }
}
