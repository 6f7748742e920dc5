import type { Command } from 'commander';
import type { HostView } from '../../functions/api/host-view.ts';
import { apiCommand, show } from '../options.ts';
import { table } from '../table.ts';

export function hostsCommand(): Command {
  return apiCommand('hosts', 'List the hosts with their slots and lines', ['hosts', 'hosts --json']).action(
    async (options) => {
      await show(options, (client) => client.get<{ hosts: HostView[] }>('/hosts'), hostsTable);
    },
  );
}

function hostsTable({ hosts }: { hosts: readonly HostView[] }): string {
  if (hosts.length === 0) return 'No hosts.';
  return table(
    hosts.map((host) => ({
      NAME: host.name,
      UUID: host.uuid,
      POOL: host.pool,
      SLOTS: host.slots,
      TAKEN: host.holders.length,
      WAITING: host.waiting,
    })),
  );
}
