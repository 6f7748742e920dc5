import type { Row } from '../database/value.ts';
import type { Context } from '../state.ts';

export const secretCalls = {
  'secret.create': ({ pool: { db } }: Context, args: Row) =>
    db.create('secret', { value: args.value ?? '', other_config: args.other_config ?? {} }),
  'secret.destroy': ({ pool: { db } }: Context, secret: string) => db.destroy('secret', secret),
};
