import type { Command } from 'commander';
import type { JanitorReport } from '../answers.ts';
import { type ApiOptions, apiCommand, show } from '../options.ts';
import { table } from '../table.ts';

const ACTIONS: Readonly<Record<string, string>> = {
  would: 'would be removed',
  left: 'left: please look',
  failed: 'failed: next time',
};

export function janitorCommand(): Command {
  return apiCommand('janitor', 'Look for what jobs have left behind, and remove it', [
    'janitor --dry-run',
    'janitor --json',
  ])
    .option('--dry-run', 'only report')
    .action(async ({ dryRun = false, ...options }: ApiOptions & { dryRun?: boolean }) => {
      await show(options, (client) => client.post<JanitorReport>('/janitor', { dryRun }), findings);
    });
}

function findings({ findings }: JanitorReport): string {
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
