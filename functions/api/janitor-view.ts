import { z } from '@hono/zod-openapi';
import { FINDING_ACTIONS, FINDING_KINDS, type JanitorReport } from '../janitor/finding.ts';

/** A round of the janitor as callers see it. */
export const RoundView = z
  .object({
    dryRun: z.boolean(),
    requestedBy: z
      .string()
      .nullable()
      .openapi({ description: 'Who asked for the round; null for one of its schedule.' }),
    startedAt: z.iso.datetime(),
    finishedAt: z.iso.datetime(),
    findings: z.array(
      z.object({
        kind: z.enum(FINDING_KINDS),
        pool: z.string().optional(),
        id: z.string().openapi({ description: 'UUID or id of what was found.' }),
        what: z.string(),
        action: z.enum(FINDING_ACTIONS).openapi({
          description: 'would: a dry run; left: a person must look; failed: tried again the next time.',
        }),
      }),
    ),
  })
  .openapi('JanitorReport');

/** The last round, as the table keeps it. */
export const LastRoundView = RoundView.extend({
  omitted: z
    .int()
    .openapi({ description: "Findings for which there was no room; the janitor's log has them." }),
}).openapi('KeptJanitorReport');

export type RoundView = z.infer<typeof RoundView>;
export type LastRoundView = z.infer<typeof LastRoundView>;

export function roundView<R extends JanitorReport>(report: R) {
  const { actor, findings, ...rest } = report;
  return { ...rest, requestedBy: actor ?? null, findings: [...findings] };
}
