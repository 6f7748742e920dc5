import { z } from '@hono/zod-openapi';
import { shorten } from '../../../glance/shorten.ts';
import { keyed } from '../validation.ts';

/** Nova's names: printable, and without space at either end (validation/parameter_types.py). */
const Name = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[^\p{C}\p{Zl}\p{Zp}]*$/u, 'has a character that cannot be printed')
  .regex(/^(?:\P{Zs}(?:.*\P{Zs})?)?$/su, 'begins or ends with a space')
  .transform((name) => name.replaceAll(/\s+/g, ' '));

const MOST_METADATA = 100;

const Metadata = keyed(z.string().regex(/^[a-zA-Z0-9\-_:. ]{1,255}$/), z.string().max(255), MOST_METADATA)
  .optional()
  .openapi({ description: 'Custom properties of the image.' });

/** Nova's own: what its database can hold. */
const MOST_ROTATION = 2 ** 31 - 1;

export const CreateImage = z.strictObject({ name: Name, metadata: Metadata }).openapi('ComputeCreateImage');

export const CreateBackup = z
  .strictObject({
    name: Name,
    backup_type: z
      .string()
      .min(1)
      .max(255)
      .regex(/^[^\p{C}]*$/u, 'has a character that cannot be printed')
      .openapi({ description: 'Each type rotates by itself.', example: 'daily' }),
    rotation: z
      .union([
        z.int(),
        z
          .string()
          .regex(/^\d{1,10}$/)
          .transform(Number),
      ])
      .pipe(z.int().min(0).max(MOST_ROTATION))
      .openapi({
        type: ['integer', 'string'],
        minimum: 0,
        description:
          'Verified backups of the type that stay, this one included; 0 leaves none, not even this one.',
      }),
    metadata: Metadata,
  })
  .openapi('ComputeCreateBackup');

/** The body of an action: one field, the action's name. */
export const Action = z
  .object({ createImage: CreateImage.optional(), createBackup: CreateBackup.optional() })
  .openapi('ComputeAction', {
    description: 'One of the two; every other action answers 501.',
    minProperties: 1,
    example: { createImage: { name: 'before-upgrade' } },
  });

/** Words a refusal as Nova's schemas do, but without the value itself, which may be large or secret. */
export function refusalOf(action: string, { issues }: z.ZodError): string {
  const [issue] = issues;
  const path = [action, ...(issue?.path ?? [])].map(String).join('.');
  const reason =
    issue?.code === 'unrecognized_keys' ? 'Additional properties are not allowed' : issue?.message;
  return `Invalid input for field/attribute ${shorten(path, 300)}. ${reason ?? ''}`.trim().toWellFormed();
}
