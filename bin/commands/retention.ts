import type { Command } from 'commander';
import type { RetentionView } from '../../functions/api/retention-view.ts';
import type { ApiClient } from '../client.ts';
import { size, time } from '../format.ts';
import { type ApiOptions, apiCommand, show } from '../options.ts';
import { eachOnce, everyAnswer } from '../pages.ts';
import { table } from '../table.ts';

export function retentionCommand(): Command {
  return apiCommand('retention', 'Say which backups of a schedule a rotation would delete now, and why', [
    'retention 7d0c6a0e-3c42-4c55-9a52-0d5f0f6f5c11',
  ])
    .argument('<schedule>', "the schedule's id")
    .option('--dry-run', 'as it always is: nothing is deleted')
    .action(async (id: string, options: ApiOptions) => {
      const path = `/schedules/${encodeURIComponent(id)}/retention`;
      const all = async (client: ApiClient): Promise<RetentionView> => {
        const answers = await everyAnswer<RetentionView>(client, path);
        const vms = answers.flatMap((answer) => answer.vms);
        const unasked = answers.flatMap((answer) => answer.unasked);
        return { ...answers[0], vms, unasked: eachOnce(unasked, ({ pool }) => pool), next: null };
      };
      await show(options, all, retentionText);
    });
}

function retentionText({ keep, backupType, vms, unasked }: RetentionView): string {
  const rows = vms.flatMap((vm) =>
    vm.images.map((image) => ({
      VM: vm.name,
      IMAGE: image.id,
      VERIFIED: image.verifiedAt === null ? null : time(image.verifiedAt),
      SIZE: image.sizeBytes === null ? null : size(image.sizeBytes),
      ACTION: image.action,
      WHY: image.why,
    })),
  );
  return [
    `Each VM keeps ${keep} backups of the type ${backupType}.`,
    rows.length > 0 ? table(rows) : 'There are none yet.',
    ...unasked.map(({ pool, reason }) => `${pool ?? 'The VMs'}: ${reason.message}`),
  ].join('\n');
}
