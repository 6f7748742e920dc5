import { z } from '@hono/zod-openapi';
import { POWER_STATES } from '../../xapi/types.ts';
import { nameOfVm } from '../pool/vm-name.ts';
import type { PoolVm } from '../pool/vms.ts';

/** A VM as callers see it. */
export const VmView = z
  .object({
    uuid: z.string(),
    name: z.string(),
    pool: z.string(),
    powerState: z.enum(POWER_STATES),
    host: z.string().nullable().openapi({
      description: 'Name of the host on which it runs; with hostUuid, null for callers of a project.',
    }),
    hostUuid: z.string().nullable(),
    rootDiskBytes: z
      .int()
      .nullable()
      .openapi({ description: 'Virtual size of the disk that it boots from.' }),
    rootDevice: z.string().nullable().openapi({
      description:
        'Position of that disk; null where there is none, or where only `device` can say which it is.',
      example: '0',
    }),
    job: z.uuid().nullable().openapi({ description: 'The job that has the VM.' }),
  })
  .openapi('Vm');

export type VmView = z.infer<typeof VmView>;

export function vmView({ vm, rootDisk, host }: PoolVm, pool: string): Omit<VmView, 'job'> {
  return {
    uuid: vm.uuid,
    name: nameOfVm(vm),
    pool,
    powerState: vm.power_state,
    host: host?.name_label ?? null,
    hostUuid: host?.uuid ?? null,
    rootDiskBytes: rootDisk?.virtualBytes ?? null,
    rootDevice: rootDisk?.device ?? null,
  };
}
