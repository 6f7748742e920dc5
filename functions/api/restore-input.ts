import { z } from '@hono/zod-openapi';
import { DEFAULT_MACS, JOB_STATUSES, MAC_POLICIES } from '../words.ts';
import { DeviceInput, keyed, line, pageFields, strict } from './validation.ts';

/** As many interfaces as an image's description may have. */
const MOST_NETWORKS = 16;
/** As xapi writes it: 00 would be no interface's. */
const POSITION = /^(0|[1-9]\d{0,2})$/;

/** The body of POST /restores. */
export const NewRestore = strict({
  image: line(255).openapi({ description: "The image's id in Glance.", format: 'uuid' }),
  pool: line(60).optional().openapi({
    description: 'Where to; the pool that the image is from, or the only one, if absent.',
  }),
  sr: line(255).optional().openapi({
    description: "UUID or name of the SR; the one that the disk was on, or the pool's default, if absent.",
  }),
  name: line(255)
    .optional()
    .openapi({ description: 'Of the VM and its disk; those that they had if absent.' }),
  networks: keyed(
    z.string().regex(POSITION, "must be an interface's position, such as 0"),
    line(255),
    MOST_NETWORKS,
  )
    .optional()
    .openapi({
      description:
        'By the position of an interface, the UUID or name of the network that it is to be on; the one that it was on, or that is like it, if absent.',
      example: { '0': 'front' },
    }),
  macs: z.enum(MAC_POLICIES).optional().openapi({
    description:
      '`auto` keeps the MAC addresses where no VM of any pool has one of them; `keep` does in any case, `new` in none.',
    default: DEFAULT_MACS,
  }),
  start: z.boolean().optional().openapi({ description: 'Starts the VM in the end.', default: false }),
  test: z.boolean().optional().openapi({
    description:
      'Proves that the image can be restored, says so on the image, and destroys what was made. Never on a network.',
    default: false,
  }),
  boot: z.boolean().optional().openapi({
    description: 'Of a test: the VM must start, and its guest tools be seen if it had any.',
    default: false,
  }),
  disksOnly: z.boolean().optional().openapi({ description: 'Makes the disk alone.', default: false }),
  into: line(255).optional().openapi({
    description:
      'UUID or name of a VM that is there: the image takes the place of its disk, and all else of it stays. The disk that it had is kept, detached. It is started again if it ran before.',
  }),
  device: DeviceInput.optional().openapi({
    description: 'With `into`, the position of the disk; that of the one that the VM boots from if absent.',
  }),
  shutdown: z.boolean().optional().openapi({
    description:
      'With `into`, the VM may be running, and is asked to shut down once the image is there. Otherwise it must be halted.',
    default: false,
  }),
}).openapi('NewRestore', {
  example: { image: '4b1f7a52-6d0e-4c39-8f5a-2f6f1f0f9f11', name: 'web-1-restored' },
});

/** The query of GET /restores. */
export const RestoreQuery = strict({
  image: line(255).optional().openapi({ description: 'Id of the image that is restored.' }),
  pool: line(60).optional(),
  status: z.enum(JOB_STATUSES).optional(),
  ...pageFields,
});
