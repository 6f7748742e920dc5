import { masterAddress } from './address.ts';
import type { Reply, WireValue } from './codec.ts';

/** One exchange with one member. */
export type Ask = (member: URL, method: string, args: readonly WireValue[]) => Promise<Reply>;

/** How often a call is passed on; a pool that is choosing a new master may point in a circle for a while. */
const MAX_HOPS = 3;

/**
 * Asks a member, and where it answers HOST_IS_SLAVE, its master: xapi says so before it does anything, so that the
 * call has still been carried out only once.
 * @returns the reply, and the member that gave it
 */
export async function askMaster(
  ask: Ask,
  member: URL,
  method: string,
  args: readonly WireValue[],
): Promise<{ readonly member: URL; readonly reply: Reply }> {
  let asked = member;
  for (let hops = 0; ; hops += 1) {
    const reply = await ask(asked, method, args);
    const master = hops < MAX_HOPS ? masterNamedIn(reply, asked) : undefined;
    if (master === undefined) return { member: asked, reply };
    asked = master;
  }
}

function masterNamedIn(reply: Reply, member: URL): URL | undefined {
  if (reply.ok) return undefined;
  const [code, address = ''] = reply.description;
  return code === 'HOST_IS_SLAVE' ? masterAddress(address, member) : undefined;
}
