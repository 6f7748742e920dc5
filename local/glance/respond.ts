import { createReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Refusal } from '../own-callers.ts';
import { type Answer, commonHeaders, Refused, refusalAnswer, titleOf } from './answer.ts';
import { beginRequest, ConnectionLost, endRequest, SERVER_ERROR } from './body.ts';
import type { Exchange, Service } from './exchange.ts';
import type { Fault } from './faults.ts';
import { strike } from './midway.ts';
import { route } from './routes.ts';
import { versionList } from './versions.ts';

interface Front {
  service: Service;
  draw: (method: string, path: string) => Fault | undefined;
  scheme: string;
  /** whether this is a token that it takes */
  knows: (token: string | undefined) => boolean;
  refuses: (method: string, header: (name: string) => string | undefined) => Refusal | undefined;
}

/** Takes a request to its answer; never rejects. */
export function answerRequest(front: Front): (req: IncomingMessage, res: ServerResponse) => Promise<void> {
  return async (req, res) => {
    beginRequest(req);
    req.on('error', () => undefined); // whoever reads the body hears of it; the rest must not crash
    const url = new URL(req.url ?? '/', 'http://request.invalid');
    const waits = /^100-continue$/i.test(req.headers.expect ?? '');
    let proceeded = false;
    const exchange: Exchange = {
      service: front.service,
      req,
      baseUrl: `${front.scheme}://${req.headers.host ?? '127.0.0.1'}`,
      query: url.searchParams,
      fault: front.draw(req.method ?? 'GET', url.pathname),
      proceed() {
        if (waits && !proceeded) res.writeContinue();
        proceeded = true;
      },
    };
    try {
      const answer = await answerOf(front, exchange, req.method ?? 'GET', url.pathname);
      if (exchange.fault?.drop === 'after') throw new ConnectionLost('A fault cut the connection');
      // The client that was told nothing keeps its body back, so this connection cannot go on.
      if (endRequest(req) || (waits && !proceeded)) res.setHeader('Connection', 'close');
      else if (!req.complete) linger(req, res);
      await send(res, answer, exchange);
      req.resume(); // what is left of the body is read and dropped, as eventlet does
    } catch {
      req.socket.destroy();
    }
  };
}

/**
 * Closes only when all of the body has come, as eventlet does: Node would close at once for a client that sent
 * `Connection: close`, and the reset that meets the rest of its body could take the answer with it.
 */
function linger(req: IncomingMessage, res: ServerResponse): void {
  if (res.shouldKeepAlive) return;
  res.shouldKeepAlive = true;
  const close = () => req.socket.end();
  res.once('finish', () => (req.complete ? close() : req.once('end', close)));
}

async function answerOf(front: Front, exchange: Exchange, method: string, path: string): Promise<Answer> {
  const { req, fault, baseUrl } = exchange;
  const header = (name: string) => req.headers[name]?.toString();
  try {
    const refusal = front.refuses(method, header);
    if (refusal) throw new Refused(refusal.status, refusal.message);
    if (fault && !fault.midway) await strike(exchange, fault);
    if (path === '/healthcheck')
      return { status: 200, headers: { 'Content-Type': 'text/plain; charset=UTF-8' } };
    if (!path.startsWith('/v2'))
      return { status: path === '/versions' ? 200 : 300, json: versionList(baseUrl) };
    if (path === '/v2') return { status: 302, headers: { Location: `${baseUrl}/v2/` } };
    if (!front.knows(header('x-auth-token'))) {
      const challenge = { 'WWW-Authenticate': `Keystone uri="${baseUrl}"` };
      throw new Refused(401, 'This server could not verify that you are authorized to access it.', challenge);
    }
    const answer = await route(method, path, exchange);
    return { ...answer, headers: { ...commonHeaders(), ...answer.headers } };
  } catch (error) {
    if (error instanceof ConnectionLost) throw error;
    const refused = error instanceof Refused ? error : new Refused(500, SERVER_ERROR);
    const answer = refusalAnswer(refused, req.headers.accept);
    return { ...answer, headers: { ...commonHeaders(), ...answer.headers } };
  }
}

async function send(res: ServerResponse, answer: Answer, { req, fault }: Exchange): Promise<void> {
  const { status, file, json } = answer;
  const text = Buffer.from(json === undefined ? (answer.text ?? '') : JSON.stringify(json));
  const length = file ? file.end - file.start + 1 : text.length;
  res.writeHead(status, titleOf(status), {
    ...(json !== undefined && { 'Content-Type': 'application/json' }),
    'Content-Length': length,
    ...answer.headers,
  });
  const cut = fault?.drop === 'during' ? Math.min(length, fault.afterBytes ?? 1) : length;
  const whole = cut === length;
  if (file && length > 0) {
    const data = createReadStream(file.path, { start: file.start, end: file.start + cut - 1 });
    await pipeline(data, res, { end: whole });
  } else if (whole) await finish(res, req.method === 'HEAD' ? '' : text);
  else await new Promise((written) => res.write(text.subarray(0, cut), written));
  // Rejecting cuts the connection, once what precedes the cut is on its way.
  if (!whole) throw new ConnectionLost('A fault cut the connection');
}

/** Resolves also when the client goes away first. */
function finish(res: ServerResponse, text: Buffer | string): Promise<void> {
  return new Promise((resolve) => {
    if (res.destroyed) return resolve();
    res.once('close', resolve);
    res.end(text);
  });
}
