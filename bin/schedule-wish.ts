import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ScheduleView } from '../functions/api/schedule-view.ts';
import { IMAGE_FORMATS, QUIESCE, TEST_PERIODS } from '../functions/words.ts';
import { UsageFailure } from './failures.ts';
import { type ApiOptions, wholeNumber } from './options.ts';

/** A time of day, as the API has it. */
export interface DayTime {
  readonly window?: string | undefined;
  readonly at?: string | undefined;
}

/** The options of {@link wished}. */
export interface WishOptions extends ApiOptions {
  readonly name?: string;
  readonly pool?: string;
  readonly tag?: string;
  readonly namePattern?: string;
  readonly cron?: string;
  readonly rate?: string;
  readonly daily?: DayTime;
  readonly weekly?: DayTime & { readonly day: string };
  readonly timeZone?: string;
  readonly flexibleMinutes?: number;
  readonly keep?: number;
  readonly type?: string;
  readonly quiesce?: string;
  readonly format?: string;
  readonly device?: string;
  readonly flatten?: boolean;
  readonly restoreTest?: string;
  readonly restoreTestSample?: number;
  readonly restoreTestBoot?: boolean;
  readonly restoreTestSr?: string;
}

/** The fields of which a schedule has one. */
export const TIMINGS = ['cron', 'rate', 'daily', 'weekly'];

/** Adds the options that say what a schedule is like. */
export function wished(command: Command): Command {
  return command
    .option('--name <name>', 'what it is called')
    .option('--tag <tag>', 'of the VMs that have this tag')
    .option('--name-pattern <pattern>', 'of the VMs whose names fit; * stands for any characters')
    .option('--pool <pool>', 'of this pool')
    .addOption(
      new Option('--cron <expression>', 'six fields as in EventBridge').conflicts([
        'rate',
        'daily',
        'weekly',
      ]),
    )
    .addOption(new Option('--rate <rate>', 'such as "6 hours"').conflicts(['daily', 'weekly']))
    .addOption(
      new Option('--daily <time>', 'HH:MM, or a window such as H_0400_0600')
        .argParser(dayTime)
        .conflicts('weekly'),
    )
    .addOption(
      new Option('--weekly <day and time>', 'such as "sunday 04:30" or "sunday H_0400_0600"').argParser(
        weekTime,
      ),
    )
    .option('--time-zone <zone>', 'IANA name (default: UTC)')
    .option('--flexible-minutes <minutes>', 'spread the VMs over so long', wholeNumber(0, 1440))
    .option('--keep <number>', 'verified backups that each VM keeps', wholeNumber(1, 10_000))
    .option('--type <type>', 'each type rotates by itself (default: daily or weekly, by the time)')
    .addOption(
      new Option('--quiesce <wish>', 'whether the guest flushes its file systems first').choices(QUIESCE),
    )
    .addOption(
      new Option('--format <format>', 'a bundle of VHDs (default), or the bare disk').choices(IMAGE_FORMATS),
    )
    .option('--device <position>', 'the disk to be imaged (default: the one that each VM boots from)')
    .option('--flatten', 'one VHD that the pool flattens, in place of a chain; with the format vhd only')
    .addOption(
      new Option(
        '--restore-test <period>',
        'restore the newest backups of some VMs so often, to prove that it can, and destroy them',
      ).choices([...TEST_PERIODS, 'never']),
    )
    .option('--restore-test-sample <number>', 'so many VMs each time (default: 1)', wholeNumber(1, 20))
    .option('--restore-test-boot', 'start the VMs, on no network, and wait for their guest tools')
    .option('--restore-test-sr <sr>', 'test on this SR (default: where the disk was)');
}

/** Which VMs the options name, as the API has it. */
export function targetOf(vm: string | undefined, options: WishOptions): object {
  const { tag, namePattern, pool } = options;
  if (vm !== undefined && (tag ?? namePattern) !== undefined)
    throw new UsageFailure('give either one VM, or --tag and --name-pattern');
  if (vm !== undefined) return { vm, ...(pool !== undefined && { pool }) };
  const selector = selectorOf(options);
  return Object.keys(selector).length > 0 ? { selector } : {};
}

/** What the options say of several VMs. */
function selectorOf({ tag, namePattern, pool }: WishOptions): NonNullable<ScheduleView['selector']> {
  return {
    ...(tag !== undefined && { tag }),
    ...(namePattern !== undefined && { namePattern }),
    ...(pool !== undefined && { pool }),
  };
}

/**
 * Which VMs a schedule is of after a change: what is not said of them stays as it was, so that a further condition never
 * takes another one away. A pool alone would make a schedule of one VM one of all that the pool has.
 */
export function changedTarget({ vm, selector }: Pick<ScheduleView, 'vm' | 'selector'>, options: WishOptions) {
  const said = selectorOf(options);
  if (Object.keys(said).length === 0) return vm ? { vm: vm.uuid, pool: vm.pool } : { selector };
  if (vm && options.tag === undefined && options.namePattern === undefined)
    throw new UsageFailure(
      `the schedule is of one VM, ${vm.name}, which has its pool: with --tag or --name-pattern it becomes one of several`,
    );
  return { selector: { ...selector, ...said } };
}

/** What the options say of tests, as the API has it; null to end them, undefined where they say nothing. */
function testsOf(options: WishOptions): object | null | undefined {
  const { restoreTest, restoreTestSample, restoreTestBoot, restoreTestSr } = options;
  const more = {
    ...(restoreTestSample !== undefined && { sample: restoreTestSample }),
    ...(restoreTestBoot && { boot: true }),
    ...(restoreTestSr !== undefined && { sr: restoreTestSr }),
  };
  if (Object.keys(more).length > 0 && (restoreTest === undefined || restoreTest === 'never'))
    throw new UsageFailure('--restore-test says how often: it is needed with what else is said of the tests');
  if (restoreTest === undefined) return undefined;
  return restoreTest === 'never' ? null : { every: restoreTest, ...more };
}

/** What else the options say, as the API has it. */
export function wishOf({ type, ...options }: WishOptions): object {
  const { name, cron, rate, daily, weekly, timeZone, flexibleMinutes, keep } = options;
  const { quiesce, format, device, flatten } = options;
  const wish = {
    name,
    cron,
    rate,
    daily,
    weekly,
    timeZone,
    flexibleMinutes,
    keep,
    quiesce,
    format,
    device,
    flatten,
    backupType: type,
    restoreTest: testsOf(options),
  };
  return Object.fromEntries(Object.entries(wish).filter(([, value]) => value !== undefined));
}

function dayTime(text: string): DayTime {
  return /^H_/i.test(text) ? { window: text.toUpperCase() } : { at: text };
}

function weekTime(text: string): DayTime & { day: string } {
  const [, day = '', at = ''] = /^(\w+) +(\S+)$/.exec(text.trim()) ?? [];
  if (day === '') throw new InvalidArgumentError('It must be a day and a time, such as "sunday 04:30".');
  return { day: day.toUpperCase(), ...dayTime(at) };
}
