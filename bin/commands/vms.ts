import type { Command } from 'commander';
import type { VmView } from '../../functions/api/vm-view.ts';
import type { ApiClient } from '../client.ts';
import { size } from '../format.ts';
import { apiCommand, show } from '../options.ts';
import { everyAnswer } from '../pages.ts';
import { table } from '../table.ts';

export function vmsCommand(): Command {
  return apiCommand('vms', 'List the VMs of every pool', ['vms', 'vms --json']).action(async (options) => {
    await show(options, everyVm, vmsTable);
  });
}

/** The VMs of every pool. */
async function everyVm(client: ApiClient): Promise<{ vms: VmView[] }> {
  const answers = await everyAnswer<{ vms: VmView[]; next: string | null }>(client, '/vms');
  return { vms: answers.flatMap(({ vms }) => vms) };
}

function vmsTable({ vms }: { vms: readonly VmView[] }): string {
  if (vms.length === 0) return 'No VMs.';
  return table(
    vms.map((vm) => ({
      NAME: vm.name,
      UUID: vm.uuid,
      POOL: vm.pool,
      STATE: vm.powerState,
      HOST: vm.host,
      'ROOT DISK': vm.rootDiskBytes === null ? null : size(vm.rootDiskBytes),
      DEVICE: vm.rootDevice,
      JOB: vm.job,
    })),
  );
}
