import { createHash } from 'node:crypto';
import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { SnapshotJob } from '../../job.ts';
import { nameOfVm } from '../../pool/vm-name.ts';
import { type Caller, confinedTo } from '../caller.ts';
import { flavorOf } from './flavor.ts';
import { Link, linksOf } from './links.ts';
import { createdAt, type Server } from './servers.ts';
import { SERVER_STATUSES, STATES, TASK_STATES, taskStateOf, VM_STATES } from './states.ts';

const nothing = z.object({}).openapi({ additionalProperties: false });

export const ServerEntry = z
  .object({ id: z.string(), name: z.string(), links: z.array(Link) })
  .openapi('ComputeServerEntry');

/** What xensnap knows of a server, in Nova's fields; those about which pools say nothing are empty. */
export const ServerView = ServerEntry.extend({
  status: z.enum(SERVER_STATUSES),
  tenant_id: z.string(),
  user_id: z.string(),
  metadata: nothing,
  hostId: z.string().openapi({ description: "A digest: no names of hosts for those who aren't admins." }),
  image: z.literal(''),
  flavor: z.object({ id: z.string(), links: z.array(Link) }),
  created: z.iso.datetime(),
  updated: z.iso.datetime(),
  addresses: nothing,
  accessIPv4: z.literal(''),
  accessIPv6: z.literal(''),
  key_name: z.null(),
  config_drive: z.literal(''),
  progress: z.int().optional(),
  'OS-DCF:diskConfig': z.literal('MANUAL'),
  'OS-EXT-AZ:availability_zone': z.string().openapi({ description: 'The pool.' }),
  'OS-EXT-STS:task_state': z
    .enum(TASK_STATES)
    .nullable()
    .openapi({ description: 'Where the job is that has the VM.' }),
  'OS-EXT-STS:vm_state': z.enum(VM_STATES),
  'OS-EXT-STS:power_state': z.int(),
  'OS-EXT-SRV-ATTR:host': z.string().nullable().optional(),
  'OS-EXT-SRV-ATTR:hypervisor_hostname': z.string().nullable().optional(),
  'OS-EXT-SRV-ATTR:instance_name': z
    .string()
    .optional()
    .openapi({ description: "With the two before it: for callers who aren't confined to a project's VMs." }),
  'OS-SRV-USG:launched_at': z.string().nullable(),
  'OS-SRV-USG:terminated_at': z.null(),
  'os-extended-volumes:volumes_attached': z.array(nothing).max(0),
}).openapi('ComputeServer');

export function serverEntry(c: Context, { id, vm }: Server): z.infer<typeof ServerEntry> {
  return { id, name: nameOfVm(vm), links: linksOf(c, 'servers', id) };
}

export function serverView(
  c: Context,
  caller: Caller,
  server: Server,
  job: SnapshotJob | undefined,
): z.infer<typeof ServerView> {
  const { vm, host, pool, metrics } = server;
  const state = STATES[vm.power_state];
  const flavor = flavorOf(server);
  const [, bookmark] = linksOf(c, 'flavors', flavor.id);
  const projectId = caller.project?.id ?? '';
  const created = wholeSeconds(createdAt(server));
  return {
    ...serverEntry(c, server),
    status: state.status,
    tenant_id: projectId,
    user_id: '',
    metadata: {},
    hostId: host ? createHash('sha224').update(`${projectId}${host.uuid}`).digest('hex') : '',
    image: '',
    flavor: { id: flavor.id, links: bookmark ? [bookmark] : [] },
    created,
    updated: created,
    addresses: {},
    accessIPv4: '',
    accessIPv6: '',
    key_name: null,
    config_drive: '',
    ...(state.status === 'ACTIVE' && { progress: 0 }),
    'OS-DCF:diskConfig': 'MANUAL',
    'OS-EXT-AZ:availability_zone': pool,
    'OS-EXT-STS:task_state': job ? taskStateOf(job) : null,
    'OS-EXT-STS:vm_state': state.vmState,
    'OS-EXT-STS:power_state': state.powerState,
    ...(!confinedTo(caller) && {
      'OS-EXT-SRV-ATTR:host': host?.name_label ?? null,
      'OS-EXT-SRV-ATTR:hypervisor_hostname': host?.name_label ?? null,
      'OS-EXT-SRV-ATTR:instance_name': nameOfVm(vm),
    }),
    'OS-SRV-USG:launched_at':
      metrics && metrics.start_time.getTime() > 0
        ? metrics.start_time.toISOString().replace('Z', '000')
        : null,
    'OS-SRV-USG:terminated_at': null,
    'os-extended-volumes:volumes_attached': [],
  };
}

/** A time as Nova writes it. */
function wholeSeconds(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}
