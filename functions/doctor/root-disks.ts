import type { PoolVm } from '../pool/vms.ts';
import type { Found } from './check.ts';

/** VMs that are named; of the others there is only a number. */
const SHOWN = 5;

/** Names the VMs whose boot disk is not clear: their snapshots are refused unless the caller names the disk. */
export function judgeRootDisks(vms: readonly PoolVm[]): Found {
  const doubtful = vms.flatMap(({ vm, rootDoubt }) =>
    rootDoubt === undefined ? [] : [`"${vm.name_label}" (${rootDoubt})`],
  );
  if (doubtful.length === 0) return { found: 'It is clear from which disk each VM boots.' };
  const more = doubtful.length > SHOWN ? ` and ${doubtful.length - SHOWN} more` : '';
  return {
    status: 'warning',
    found: `It is not clear from which disk these boot: ${doubtful.slice(0, SHOWN).join(', ')}${more}.`,
    advice: 'Name the disk by its position: `--device`, or `device` in requests and schedules.',
  };
}
