import { Command, CommanderError } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { doctorCommand } from './commands/doctor.ts';
import { glanceCommand } from './commands/glance.ts';
import { hostsCommand } from './commands/hosts.ts';
import { imagesCommand } from './commands/images.ts';
import { janitorCommand } from './commands/janitor.ts';
import { cancelCommand, jobCommand } from './commands/job.ts';
import { jobsCommand } from './commands/jobs.ts';
import { poolCommand } from './commands/pool.ts';
import { reportCommand } from './commands/report.ts';
import { restoreCommand } from './commands/restore.ts';
import { destroyKeptCommand, restoresCommand } from './commands/restores.ts';
import { retentionCommand } from './commands/retention.ts';
import { scheduleCommand } from './commands/schedule.ts';
import { snapshotCommand } from './commands/snapshot.ts';
import { unpackCommand } from './commands/unpack.ts';
import { vmsCommand } from './commands/vms.ts';
import { ApiRefused, Interrupted, UsageFailure } from './failures.ts';
import { inFlags } from './flags.ts';
import { examplesText, hasPrinted, print } from './options.ts';
import { warn } from './warn.ts';

/** Runs one command line; answers the process's exit status. */
export async function run(line: readonly string[]): Promise<number> {
  const program = await createProgram(line.slice(0, 2).includes('local'));
  const args = commandFirst(line, program);
  let running = program;
  program.hook('preAction', (_, command) => {
    running = command;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    return explain(error, running, program.commands.some((each) => each.name() === args[0]) ? args : []);
  }
}

/** Every option is a command's: those that stand before it are taken for its own, too. */
function commandFirst(args: readonly string[], program: Command): readonly string[] {
  const commands = program.commands.map((command) => command.name());
  const named = args.findIndex((arg) => commands.includes(arg));
  if (named <= 0 || !args[0]?.startsWith('-')) return args;
  return [...args.slice(named), ...args.slice(0, named)];
}

async function createProgram(runsLocal: boolean): Promise<Command> {
  const program = new Command('xensnap')
    .description(packageJson.description)
    .version(packageJson.version)
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .addHelpText('after', examplesText(['local', 'vms', 'snapshot web-1 --wait', 'snapshot --help']));
  const commands = [
    // The local service brings all of AWS's parts with it: other commands do not wait for them.
    runsLocal ? (await import('./local.ts')).localCommand() : localStub(),
    snapshotCommand(),
    vmsCommand(),
    hostsCommand(),
    imagesCommand(),
    restoreCommand(),
    jobsCommand(),
    restoresCommand(),
    destroyKeptCommand(),
    jobCommand(),
    cancelCommand(),
    scheduleCommand(),
    reportCommand(),
    retentionCommand(),
    unpackCommand(),
    janitorCommand(),
    doctorCommand(),
    poolCommand(),
    glanceCommand(),
  ];
  for (const command of commands) {
    program.addCommand(command.copyInheritedSettings(program));
    for (const below of command.commands) below.copyInheritedSettings(program);
  }
  return program;
}

/** Stands for the local service in the list of commands. */
function localStub(): Command {
  return new Command('local').description('Run the whole service on this machine');
}

/** Tells what went wrong in one line, with a hint where the command, which `args` begin with, was used wrongly. */
function explain(error: unknown, running: Command, args: readonly string[]): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    // Called without a command: the help that was shown says it all.
    if (error.code === 'commander.help') return 2;
    // What follows is none whose help there is.
    const known = error.code === 'commander.unknownCommand' ? args.slice(0, 1) : args;
    return usage(error.message.replace(/^error: /, ''), known);
  }
  if (error instanceof UsageFailure) return usage(error.message, args);
  const ofFlags = error instanceof ApiRefused ? inFlags(error, running) : undefined;
  const message = ofFlags ?? (error instanceof Error ? error.message : String(error));
  if (ofFlags === undefined) warn(message);
  else usage(message, args);
  // A script that reads standard output gets a document in any case, and one only.
  if (args.includes('--json') && !hasPrinted())
    print(JSON.stringify({ error: { ...refusalOf(error), message } }, null, 2));
  if (ofFlags !== undefined) return 2;
  return error instanceof Interrupted ? 130 : 1;
}

/** What the API has said, or else what kind of failure it is. */
function refusalOf(error: unknown): object {
  if (error instanceof ApiRefused) return { name: error.name, ...error.refusal };
  return { name: error instanceof Error ? error.name : 'Error' };
}

function usage(message: string, args: readonly string[]): number {
  const [command, below] = args.filter((arg) => !arg.startsWith('-'));
  const names = [command, command === 'schedule' ? below : undefined].filter((name) => name !== undefined);
  warn(message);
  process.stderr.write(`Try: xensnap ${[...names, '--help'].join(' ')}\n`);
  return 2;
}
