import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Refused } from './answer.ts';
import type { Stop } from './framing.ts';

/** The client is gone: nobody is left to answer. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

type Ending = Stop | 'garbage';

/** A connection whose request is not answered yet. */
interface Reading {
  req: IncomingMessage;
  stopped?: Ending;
  tell?: (ending: Ending) => void;
}

const readings = new WeakMap<Socket, Reading>();

/** Notes that a request of this connection is at work; what its body does meanwhile is not lost. */
export function beginRequest(req: IncomingMessage): void {
  readings.set(req.socket, { req });
}

/**
 * Reads a request's body piece by piece.
 * @throws Refused as Glance does when the body ends too early: 400 between chunks, 500 inside data. A last chunk
 * of size 0 without its final line break counts as the end.
 * @throws ConnectionLost
 */
export function receive(req: IncomingMessage, take: (piece: Buffer) => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const reading = readings.get(req.socket) ?? { req };
    let busy = false;
    let ended = false;
    let cutShort = false;
    const settle = (end: () => void) => {
      req.off('data', onData).off('end', onEnd).off('error', onLost).off('close', onLost);
      delete reading.tell;
      end();
    };
    const finish = () => {
      if (!busy && (ended || (cutShort && req.readableLength === 0))) settle(resolve);
    };
    // A paused stream that holds no more data may say 'end' nevertheless, while the last piece is still at work.
    const onEnd = () => {
      ended = true;
      finish();
    };
    const onLost = () => {
      if (!ended) settle(() => reject(new ConnectionLost('The connection was lost')));
    };
    const onData = (piece: Buffer) => {
      busy = true;
      req.pause();
      take(piece).then(
        () => {
          busy = false;
          req.resume();
          finish();
        },
        (reason) => settle(() => reject(reason)),
      );
    };
    req.on('data', onData).on('end', onEnd).on('error', onLost).on('close', onLost);
    reading.tell = (ending) => {
      if (ending === 'after-last-chunk') {
        cutShort = true;
        finish();
      } else if (ending === 'inside-data') settle(() => reject(new Refused(500, SERVER_ERROR)));
      else settle(() => reject(new Refused(400, "invalid literal for int() with base 16: b''")));
    };
    if (reading.stopped && !req.complete) reading.tell(reading.stopped);
    if (req.destroyed && !req.readableEnded) onLost();
  });
}

/** Tells whoever answers on this connection that its client stopped sending; false when there is nobody. */
export function endBody(socket: Socket, ending: Ending): boolean {
  const reading = readings.get(socket);
  if (!reading) return false;
  reading.stopped = ending;
  // What follows a whole body is the next request's misfortune.
  if (!reading.req.complete) reading.tell?.(ending);
  return true;
}

/** Ends what beginRequest began; true when the connection is of no more use, so that this answer is its last. */
export function endRequest({ socket }: IncomingMessage): boolean {
  const broken = readings.get(socket)?.stopped !== undefined;
  readings.delete(socket);
  return broken;
}

/** @throws Refused 400 when the body is not JSON */
export async function receiveJson(req: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = [];
  await receive(req, async (piece) => void pieces.push(piece));
  try {
    return JSON.parse(Buffer.concat(pieces).toString('utf8'));
  } catch {
    throw new Refused(400, 'Malformed JSON in request body.');
  }
}

export const SERVER_ERROR =
  'The server has either erred or is incapable of performing the requested operation.';
