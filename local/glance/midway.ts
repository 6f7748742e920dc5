import { Refused, titleOf } from './answer.ts';
import { ConnectionLost } from './body.ts';
import type { Exchange } from './exchange.ts';
import type { Fault } from './faults.ts';

/** Lets a fault strike: waits for its hold, cuts the connection or throws its status. Strikes once a request. */
export async function strike(exchange: Exchange, fault: Fault): Promise<void> {
  exchange.fault = undefined;
  await fault.hold;
  if (fault.drop === 'before' || fault.drop === 'during') {
    exchange.req.socket.destroy();
    throw new ConnectionLost('A fault cut the connection');
  }
  if (fault.drop === 'after') exchange.fault = { ...fault, midway: false, hold: Promise.resolve() };
  else if (fault.status !== undefined) throw new Refused(fault.status, fault.body ?? titleOf(fault.status));
}
