import { isUtf8 } from 'node:buffer';
import type { Socket } from 'node:net';
import { resultType } from '../database/datamodel.ts';
import type { Value } from '../database/value.ts';
import { dispatch } from '../dispatch.ts';
import { asFailure, ConnectionCut } from '../failure.ts';
import type { Host, PoolState } from '../state.ts';
import { EXPORT_PATH, exportRawVdi } from './export.ts';
import { internalError, page, refuse, send } from './http-answer.ts';
import { BadRequest, HttpReader, type HttpRequest } from './http-wire.ts';
import { decodeJsonCall, encodeJsonFailure, encodeJsonSuccess } from './jsonrpc.ts';
import { decodeCall, encodeFailure, encodeRaw, encodeSuccess, type MethodCall } from './xmlrpc.ts';

/** http_limit_max_rpc_size of constants.ml. */
const MAX_BODY_BYTES = 300 * 1024;
/** max_header_length_tcp: the request line and all headers together. */
const MAX_HEADER_BYTES = 1024;
/** How long a new connection may be silent before its first request is there (header_read_timeout_tcp); real time. */
const FIRST_REQUEST_MILLISECONDS = 10_000;

/** Answers one connection's requests, one after the other. */
export async function serveConnection(
  pool: PoolState,
  host: Host,
  channel: 'tcp' | 'unix',
  socket: Socket,
): Promise<void> {
  const reader = new HttpReader(socket);
  const isLimited = channel === 'tcp' && pool.settings.release.limitsHeaders;
  const maxBytes = isLimited ? MAX_HEADER_BYTES : undefined;
  // A broken connection is seen by whoever reads or writes next.
  socket.on('error', () => socket.destroy());
  if (isLimited)
    socket.setTimeout(FIRST_REQUEST_MILLISECONDS, () => {
      refuse({ socket, version: '1.1' }, 408, page('HTTP 408 request timeout'));
    });
  try {
    for (;;) {
      const request = await reader.next(maxBytes);
      if (!request) break;
      socket.setTimeout(0);
      await host.hang?.over;
      if (!(await answer(pool, host, channel, request, reader)) || request.close) break;
    }
    socket.end();
  } catch (error) {
    if (error instanceof BadRequest) {
      const body = error.status === 500 ? internalError(error.message) : page(TOO_LARGE);
      refuse({ socket, version: '1.1' }, error.status, body);
    } else socket.destroy();
  }
}

/**
 * What comes in over a member's socket is passed on to the master (api_server_common.ml): where that cannot be reached
 * there is no answer but the error page, and where it hangs none at all.
 */
async function reachMaster(pool: PoolState, host: Host): Promise<void> {
  const master = pool.hosts.find(({ isMaster }) => isMaster);
  if (host.isMaster || !master) return;
  if (master.power.signal.aborted) throw new Error('Unix.Unix_error(Unix.ECONNREFUSED, "connect", "")');
  await master.hang?.over;
}

const TOO_LARGE = 'HTTP 431 request header fields too large';

/** Whether the connection can be read on. */
async function answer(
  pool: PoolState,
  host: Host,
  channel: 'tcp' | 'unix',
  request: HttpRequest,
  reader: HttpReader,
): Promise<boolean> {
  const { method, path, headers } = request;
  try {
    if (method === 'GET' && path === EXPORT_PATH) await exportRawVdi(pool, { host, channel, request });
    else if (method === 'GET') refuse(request, 404, page('HTTP 404 Not Found'));
    else if (method === 'PUT') refuse(request, 403, page('HTTP 403 forbidden'));
    else if (method !== 'POST') refuse(request, 501, page('HTTP 501 Method Not Implemented'));
    else {
      const length = headers.get('content-length');
      // xapi has no better answer than that of an error of its own.
      if (length === undefined) throw new Error('Failure("We require a content-length: HTTP header")');
      if (Number(length) > MAX_BODY_BYTES) throw new Error('Http_svr.Client_requested_size_over_limit');
      const body = await reader.body(Number(length));
      if (!body) return false;
      if (channel === 'unix') await reachMaster(pool, host);
      const encode = path.startsWith('/jsonrpc') ? answerJson : answerXml;
      const { text, contentType } = await encode(body, (call) => dispatch(pool, { host, channel, ...call }));
      send(request, text, contentType);
      return true;
    }
  } catch (error) {
    if (error instanceof ConnectionCut) request.socket.destroy();
    else refuse(request, 500, internalError(error instanceof Error ? error.message : String(error)));
  }
  return false;
}

type Perform = (call: MethodCall) => Promise<Value>;

interface Answer {
  readonly text: string;
  readonly contentType: string;
}

async function answerXml(body: Buffer, perform: Perform): Promise<Answer> {
  const contentType = 'text/xml';
  if (!isUtf8(body)) return { text: encodeFailure(INVALID_UTF8), contentType };
  const call = decodeCall(body.toString('utf8'));
  const text = await outcome(
    () => perform(call),
    call.method === 'system.listMethods' ? encodeRaw : encodeSuccess,
    encodeFailure,
  );
  return { text, contentType };
}

async function answerJson(body: Buffer, perform: Perform): Promise<Answer> {
  const call = decodeJsonCall(body.toString('utf8'));
  const text = await outcome(
    () => perform(call),
    (value) => encodeJsonSuccess(call, value, resultType(call.method)),
    (description) => encodeJsonFailure(call, description),
  );
  return { text, contentType: 'application/json' };
}

const INVALID_UTF8 = ['INVALID_VALUE', 'Invalid UTF-8 string in parameter', ''];

async function outcome(
  perform: () => Promise<Value>,
  success: (value: Value) => string,
  failure: (description: string[]) => string,
): Promise<string> {
  try {
    return success(await perform());
  } catch (error) {
    if (error instanceof ConnectionCut) throw error;
    return failure(asFailure(error).description);
  }
}
