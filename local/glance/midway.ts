import { Refused, titleOf } from './answer.ts';
import { ConnectionLost } from './body.ts';
import type { Exchange } from './exchange.ts';
import type { Fault } from './faults.ts';

/** Lets a fault strike: waits for its hold, cuts the connection or throws its status. Strikes once a request. */
export async function strike(exchange: Exchange, fault: Fault): Promise<void> {
  exchange.fault = undefined;
  const { socket } = exchange.req;
  // Nobody is held for a client that is gone, or for a server that closes.
  if (fault.hold) await Promise.race([fault.hold, new Promise((gone) => socket.once('close', gone))]);
  if (socket.destroyed) throw new ConnectionLost('The client went away while it was held');
  if (fault.drop === 'before' || fault.drop === 'during') {
    socket.destroy();
    throw new ConnectionLost('A fault cut the connection');
  }
  if (fault.drop === 'after') exchange.fault = { ...fault, midway: false };
  else if (fault.status !== undefined) throw new Refused(fault.status, fault.body ?? titleOf(fault.status));
}
