import { z } from '@hono/zod-openapi';
import { CHECK_STATUSES } from '../doctor/check.ts';

const Status = z.enum(CHECK_STATUSES);

/** A diagnosis as callers see it. */
export const DiagnosisView = z
  .object({
    status: Status.openapi({ description: 'That of the worst check.' }),
    checks: z.array(
      z.object({
        area: z.string().openapi({ example: 'pool demo' }),
        what: z.string().openapi({ example: 'plugin on xen1' }),
        status: Status,
        found: z.string(),
        advice: z.string().nullable().openapi({ description: 'What to do.' }),
        error: z.string().nullable().openapi({ example: 'PluginMissing' }),
      }),
    ),
  })
  .openapi('DoctorReport');

export type DiagnosisView = z.infer<typeof DiagnosisView>;
