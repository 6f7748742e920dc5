import { type Command, Option } from 'commander';
import type { LastRoundView, RoundView } from '../../functions/api/janitor-view.ts';
import { duration, printable, time } from '../format.ts';
import { type ApiOptions, apiCommand, show } from '../options.ts';
import { table } from '../table.ts';

const ACTIONS: Readonly<Record<string, string>> = {
  would: 'would be removed',
  left: 'left: please look',
  failed: 'failed: next time',
};

interface JanitorOptions extends ApiOptions {
  readonly dryRun?: boolean;
  readonly last?: boolean;
}

export function janitorCommand(): Command {
  return apiCommand('janitor', 'Look for what jobs have left behind, and remove it', [
    'janitor --dry-run',
    'janitor --last',
    'janitor --json',
  ])
    .option('--dry-run', 'only report')
    .addOption(new Option('--last', 'show what its last round found, and start none').conflicts('dryRun'))
    .action(async ({ dryRun = false, last = false, ...options }: JanitorOptions) => {
      if (last) await show(options, (client) => client.get<LastRoundView>('/janitor'), lastRound);
      else await show(options, (client) => client.post<RoundView>('/janitor', { dryRun }), findings);
    });
}

function lastRound(report: LastRoundView): string {
  const { dryRun, requestedBy, startedAt, finishedAt, omitted } = report;
  const seconds = (Date.parse(finishedAt) - Date.parse(startedAt)) / 1000;
  return [
    `Round of ${time(startedAt)}, which took ${duration(seconds)}${dryRun ? ' and only looked' : ''}`,
    ...(requestedBy ? [`Requested by ${printable(requestedBy)}`] : []),
    findings(report),
    ...(omitted > 0 ? [`${omitted} more are in the janitor's log.`] : []),
  ].join('\n');
}

function findings({ findings }: RoundView): string {
  if (findings.length === 0) return 'Nothing is left behind.';
  return table(
    findings.map(({ kind, pool, id, what, action }) => ({
      KIND: kind,
      ID: id,
      POOL: pool ?? null,
      WHAT: what,
      ACTION: ACTIONS[action] ?? action,
    })),
  );
}
