import { z } from '@hono/zod-openapi';

/** A host as callers see it. */
export const HostView = z
  .object({
    uuid: z.string(),
    name: z.string(),
    pool: z.string(),
    slots: z.int().min(1).openapi({ description: 'Uploads and downloads that it may have at a time.' }),
    holders: z.array(z.uuid()).openapi({ description: 'The jobs that have a slot.' }),
    waiting: z.int().min(0).openapi({ description: 'Jobs that stand in its line.' }),
  })
  .openapi('Host');

export type HostView = z.infer<typeof HostView>;
