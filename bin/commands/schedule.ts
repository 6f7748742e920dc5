import { Command, InvalidArgumentError, Option } from 'commander';
import type { SchedulePage, ScheduleView } from '../../functions/api/schedule-view.ts';
import { IMAGE_FORMATS, QUIESCE } from '../../functions/words.ts';
import type { ApiClient } from '../client.ts';
import { UsageFailure } from '../failures.ts';
import { time } from '../format.ts';
import { type ApiOptions, apiCommand, examplesText, show, wholeNumber } from '../options.ts';
import { details, table } from '../table.ts';

const EXAMPLE_ID = '7d0c6a0e-3c42-4c55-9a52-0d5f0f6f5c11';
const ADDED = [
  'schedule add web-1 --daily 02:00 --time-zone Europe/Berlin --keep 7',
  'schedule add web-1 --weekly "sunday H_0400_0600" --keep 4',
  'schedule add --tag prod --cron "0 2 ? * MON-FRI *" --type nightly --keep 5 --flexible-minutes 120',
];

interface DayTime {
  readonly window?: string | undefined;
  readonly at?: string | undefined;
}

interface WishOptions extends ApiOptions {
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
}

/** `schedule` with its own commands. */
export function scheduleCommand(): Command {
  const command = new Command('schedule')
    .description('Have backups made on a schedule')
    .addHelpText(
      'after',
      examplesText(['schedule list', ...ADDED.slice(0, 1), `schedule disable ${EXAMPLE_ID}`]),
    );
  for (const each of [list(), one(), add(), change(), switched('enable'), switched('disable'), remove()])
    command.addCommand(each);
  return command;
}

function list(): Command {
  return apiCommand('list', 'List schedules, the newest first', [
    'schedule list',
    'schedule list --json',
  ]).action(async (options: ApiOptions) => {
    await show(options, listAll, schedulesTable);
  });
}

async function listAll(client: ApiClient): Promise<{ schedules: ScheduleView[] }> {
  const schedules: ScheduleView[] = [];
  let marker: string | null = null;
  do {
    const query = new URLSearchParams({ limit: '100', ...(marker !== null && { marker }) });
    const page: SchedulePage = await client.get(`/schedules?${query}`);
    schedules.push(...page.schedules);
    marker = page.next;
  } while (marker !== null);
  return { schedules };
}

function one(): Command {
  return apiCommand('show', 'Show a schedule and when it is due next', [`schedule show ${EXAMPLE_ID}`])
    .argument('<id>', "the schedule's id")
    .action(async (id: string, options: ApiOptions) => {
      await show(options, (client) => client.get<ScheduleView>(pathOf(id)), scheduleReport);
    });
}

function add(): Command {
  return wished(apiCommand('add', 'Make a schedule, of one VM or of those that fit', ADDED))
    .argument('[vm]', 'UUID or name of the VM; without it, --tag, --name-pattern and --pool say which')
    .option('--disabled', 'make it, but do not run it yet')
    .action(
      async (vm: string | undefined, { disabled, ...options }: WishOptions & { disabled?: boolean }) => {
        if (options.keep === undefined)
          throw new UsageFailure('--keep says how many backups stay: it is needed');
        const wish = { ...targetOf(vm, options), ...wishOf(options), ...(disabled && { enabled: false }) };
        await show(options, (client) => client.post<ScheduleView>('/schedules', wish), scheduleReport);
      },
    );
}

function change(): Command {
  return wished(
    apiCommand('change', 'Change what is given of a schedule', [
      `schedule change ${EXAMPLE_ID} --keep 14`,
      `schedule change ${EXAMPLE_ID} --daily 03:30`,
    ]),
  )
    .argument('<id>', "the schedule's id")
    .action(async (id: string, options: WishOptions) => {
      const wish = { ...targetOf(undefined, options), ...wishOf(options) };
      await show(options, (client) => replaceBy(client, id, wish), scheduleReport);
    });
}

function switched(name: 'enable' | 'disable'): Command {
  const description = name === 'enable' ? 'Run a schedule again' : 'Keep a schedule, but do not run it';
  return apiCommand(name, description, [`schedule ${name} ${EXAMPLE_ID}`])
    .argument('<id>', "the schedule's id")
    .action(async (id: string, options: ApiOptions) => {
      const wish = { enabled: name === 'enable' };
      await show(options, (client) => replaceBy(client, id, wish), scheduleReport);
    });
}

function remove(): Command {
  return apiCommand('remove', 'Remove a schedule; its backups stay', [`schedule remove ${EXAMPLE_ID}`])
    .argument('<id>', "the schedule's id")
    .action(async (id: string, options: ApiOptions) => {
      await show(
        options,
        async (client) => {
          await client.delete(pathOf(id));
          return { id };
        },
        () => `Schedule ${id} is removed. Its backups stay.`,
      );
    });
}

/** Adds the options that say what a schedule is like. */
function wished(command: Command): Command {
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
    .option('--flatten', 'one VHD that the pool flattens, in place of a chain; with the format vhd only');
}

function targetOf(vm: string | undefined, { tag, namePattern, pool }: WishOptions): object {
  const of = pool === undefined ? {} : { pool };
  if (vm !== undefined && (tag ?? namePattern) !== undefined)
    throw new UsageFailure('give either one VM, or --tag and --name-pattern');
  if (vm !== undefined) return { vm, ...of };
  const selector = {
    ...(tag !== undefined && { tag }),
    ...(namePattern !== undefined && { namePattern }),
    ...of,
  };
  return Object.keys(selector).length > 0 ? { selector } : {};
}

function wishOf({ type, ...options }: WishOptions): object {
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
  };
  return Object.fromEntries(Object.entries(wish).filter(([, value]) => value !== undefined));
}

const TIMINGS = ['cron', 'rate', 'daily', 'weekly'];

/** The API replaces schedules as a whole: what is not changed is sent as it is. */
async function replaceBy(client: ApiClient, id: string, wish: object): Promise<ScheduleView> {
  const now: Record<string, unknown> = { ...(await client.get<ScheduleView>(pathOf(id))) };
  const retimed = TIMINGS.some((timing) => timing in wish);
  const kept = Object.entries(now).filter(
    ([field, value]) =>
      value !== null && !SHOWN_ONLY.includes(field) && !(retimed && TIMINGS.includes(field)),
  );
  const { vm, ...before } = Object.fromEntries(kept) as { vm?: ScheduleView['vm'] };
  const target = vm && !('selector' in wish) ? { vm: vm.uuid, pool: vm.pool } : {};
  const merged: Record<string, unknown> = { ...before, ...target, ...wish };
  // The old window's width would be taken for the caller's.
  if (retimed && !('flexibleMinutes' in wish)) delete merged.flexibleMinutes;
  return client.put<ScheduleView>(pathOf(id), merged);
}

const SHOWN_ONLY = ['id', 'disabledReason', 'requestedBy', 'changedBy', 'nextRuns', 'createdAt', 'updatedAt'];

function dayTime(text: string): DayTime {
  return /^H_/i.test(text) ? { window: text.toUpperCase() } : { at: text };
}

function weekTime(text: string): DayTime & { day: string } {
  const [, day = '', at = ''] = /^(\w+) +(\S+)$/.exec(text.trim()) ?? [];
  if (day === '') throw new InvalidArgumentError('It must be a day and a time, such as "sunday 04:30".');
  return { day: day.toUpperCase(), ...dayTime(at) };
}

function schedulesTable({ schedules }: { schedules: readonly ScheduleView[] }): string {
  if (schedules.length === 0) return 'No schedules.';
  return table(
    schedules.map((schedule) => ({
      SCHEDULE: schedule.id,
      NAME: schedule.name,
      OF: targetText(schedule),
      WHEN: timingText(schedule),
      TYPE: schedule.backupType,
      KEEP: schedule.keep,
      NEXT: schedule.enabled ? (schedule.nextRuns[0] ? time(schedule.nextRuns[0]) : null) : 'disabled',
    })),
  );
}

function scheduleReport(schedule: ScheduleView): string {
  return details({
    Schedule: schedule.id,
    Name: schedule.name,
    Of: targetText(schedule),
    When: timingText(schedule),
    Window: schedule.flexibleMinutes > 0 ? `${schedule.flexibleMinutes} minutes` : null,
    Type: schedule.backupType,
    Keep: schedule.keep,
    Quiesce: schedule.quiesce,
    Format: schedule.flatten ? `${schedule.format}, flattened` : schedule.format,
    Device: schedule.device,
    Enabled: schedule.enabled ? 'yes' : 'no',
    'Disabled because': schedule.disabledReason,
    'Made by': schedule.requestedBy,
    'Changed by': schedule.changedBy,
    'Next runs': schedule.nextRuns.length > 0 ? schedule.nextRuns.map(time).join(', ') : null,
  });
}

function targetText({ vm, selector }: ScheduleView): string {
  if (vm) return `${vm.name} (${vm.pool})`;
  const parts = Object.entries(selector ?? {}).map(([name, value]) => `${name} ${value}`);
  return parts.length > 0 ? parts.join(', ') : 'every VM';
}

function timingText({ cron, rate, daily, weekly, timeZone }: ScheduleView): string {
  if (rate !== undefined) return rate;
  const at = (time: DayTime) => time.window ?? time.at ?? '';
  const when = weekly ? `${weekly.day} ${at(weekly)}` : daily ? `daily ${at(daily)}` : cron;
  return `${when} ${timeZone}`;
}

function pathOf(id: string): string {
  return `/schedules/${encodeURIComponent(id)}`;
}
