import type { Context } from '../state.ts';

export const messageCalls = {
  'message.destroy': ({ pool: { db } }: Context, message: string) => db.destroy('message', message),
};
