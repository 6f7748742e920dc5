import { Command } from 'commander';
import type { ScheduleView } from '../../functions/api/schedule-view.ts';
import type { ApiClient } from '../client.ts';
import { UsageFailure } from '../failures.ts';
import { type ApiOptions, apiCommand, examplesText, show } from '../options.ts';
import { everyPage } from '../pages.ts';
import { scheduleReport, schedulesTable } from '../schedule-report.ts';
import { changedTarget, TIMINGS, targetOf, type WishOptions, wished, wishOf } from '../schedule-wish.ts';
import { guessingVm } from '../vm-guess.ts';

const EXAMPLE_ID = '7d0c6a0e-3c42-4c55-9a52-0d5f0f6f5c11';
const ADDED = [
  'schedule add web-1 --daily 02:00 --time-zone Europe/Berlin --keep 7',
  'schedule add web-1 --weekly "sunday H_0400_0600" --keep 4',
  'schedule add web-1 --daily 02:00 --keep 7 --restore-test weekly --restore-test-boot',
  'schedule add --tag prod --cron "0 2 ? * MON-FRI *" --type nightly --keep 5 --flexible-minutes 120',
];

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
  return { schedules: await everyPage(client, 'schedules') };
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
        const post = (client: ApiClient) =>
          guessingVm(client, vm ?? '', () => client.post<ScheduleView>('/schedules', wish));
        await show(options, post, scheduleReport);
      },
    );
}

function change(): Command {
  return wished(
    apiCommand('change', 'Change what is given of a schedule', [
      `schedule change ${EXAMPLE_ID} --keep 14`,
      `schedule change ${EXAMPLE_ID} --daily 03:30`,
      `schedule change ${EXAMPLE_ID} --restore-test weekly --restore-test-boot`,
    ]),
  )
    .argument('<id>', "the schedule's id")
    .action(async (id: string, options: WishOptions) => {
      const wish = wishOf(options);
      if (Object.keys({ ...wish, ...targetOf(undefined, options) }).length === 0)
        throw new UsageFailure('say what is to be changed of it');
      await show(options, (client) => replaceBy(client, id, wish, options), scheduleReport);
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

/**
 * The API replaces schedules as a whole: what is not changed is sent as it is.
 * @param of what was said of the VMs
 */
async function replaceBy(
  client: ApiClient,
  id: string,
  wish: object,
  of: WishOptions = {},
): Promise<ScheduleView> {
  const { vm, selector, ...fields } = await client.get<ScheduleView>(pathOf(id));
  const retimed = TIMINGS.some((timing) => timing in wish);
  const kept = Object.entries(fields).filter(
    ([field, value]) =>
      value !== null && !SHOWN_ONLY.includes(field) && !(retimed && TIMINGS.includes(field)),
  );
  const target = changedTarget({ vm, selector }, of);
  const merged: Record<string, unknown> = { ...Object.fromEntries(kept), ...target, ...wish };
  // The old window's width would be taken for the caller's.
  if (retimed && !('flexibleMinutes' in wish)) delete merged.flexibleMinutes;
  return client.put<ScheduleView>(pathOf(id), merged);
}

const SHOWN_ONLY = [
  'id',
  'disabledReason',
  'requestedBy',
  'changedBy',
  'nextRuns',
  'nextTest',
  'createdAt',
  'updatedAt',
];

function pathOf(id: string): string {
  return `/schedules/${encodeURIComponent(id)}`;
}
