import { type IncomingMessage, Server, type ServerResponse } from 'node:http';
import type { Origin } from './call.ts';
import { carryOut, type Fault, type Reply, type Target } from './faults.ts';
import { fronts } from './front.ts';
import { from, ORIGIN_HEADER, read } from './origin.ts';

/** What `X-Amz-Target` begins with. */
const SERVICES: readonly (readonly [string, Target])[] = [
  ['DynamoDB', 'dynamodb'],
  ['AmazonSQS', 'sqs'],
  ['AWSStepFunctions', 'states'],
  ['secretsmanager', 'secrets'],
];

const emit = Server.prototype.emit;
let lines = 0;

/**
 * Stands before the servers of this process: those of AWS's stand-ins, which no port leads to, and the API, whose
 * requests are told by their header. Answers what takes it away.
 */
export function standBeforeServers(): () => void {
  lines += 1;
  if (lines === 1) Server.prototype.emit = stand;
  return () => {
    lines -= 1;
    if (lines === 0) Server.prototype.emit = emit;
  };
}

function stand(this: Server, event: string | symbol, ...args: unknown[]): boolean {
  const go = () =>
    (emit as (this: Server, event: string | symbol, ...args: unknown[]) => boolean).call(
      this,
      event,
      ...args,
    );
  if (event !== 'request' || fronts.has(this)) return go();
  const [request, response] = args as [IncomingMessage, ServerResponse];
  const origin = read(request.headers[ORIGIN_HEADER]);
  if (!origin) return go();
  if (!/^aws-\d+\.invalid/.test(request.headers.host ?? '')) return from(origin, go);
  void serve(origin, request, response, go);
  return true;
}

async function serve(origin: Origin, request: IncomingMessage, response: ServerResponse, go: () => boolean) {
  const { wire } = origin;
  const target = String(request.headers['x-amz-target']);
  const to = SERVICES.find(([prefix]) => target.startsWith(prefix))?.[1] ?? 'dynamodb';
  const name = target.slice(target.lastIndexOf('.') + 1);
  const invocation = request.headers['amz-sdk-invocation-id'];
  // A message is sent by the engine itself, in the state that waits for its token.
  const { who } = origin;
  const seen: Origin = to === 'sqs' && name === 'SendMessage' ? { ...origin, who: 'QueueForHost' } : origin;
  const fault = wire.arrive({ to, name, args: [], origin: seen, invocation: invocation?.toString() });
  // What the engine does of itself after that, such as telling an execution's end, is no step's.
  const after: Origin = who === 'admission' ? origin : { ...origin, who: 'reconcile' };
  const run = () => from(after, go);
  if (fault === undefined) return void run();
  const answer = captured(response);
  await carryOut(fault, {
    refusal: (wanted) => refusal(to, wanted),
    effect() {
      run();
      return answer.whole;
    },
    send: answer.send,
    sendHalf(reply) {
      answer.head(reply);
      // In memory the end would come in the same moment as the beginning, which on a wire it cannot: the SDK misses it.
      answer.write(reply.body.subarray(0, Math.floor(reply.body.length / 2)), () =>
        setTimeout(() => request.socket.destroy(), 20),
      );
    },
    cut: () => void request.socket.destroy(),
  });
}

/** Keeps what a listener answers from going out. */
function captured(response: ServerResponse) {
  const write = response.write.bind(response) as (chunk: Buffer, done: () => void) => boolean;
  const end = response.end.bind(response);
  const writeHead = response.writeHead.bind(response);
  const whole = Promise.withResolvers<Reply>();
  const pieces: Buffer[] = [];
  const more: Record<string, string | string[]> = {};
  const keep = (chunk: unknown) => {
    if (typeof chunk === 'string' || Buffer.isBuffer(chunk)) pieces.push(Buffer.from(chunk));
  };
  Object.assign(response, {
    writeHead(status: number, ...rest: unknown[]) {
      response.statusCode = status;
      const headers = rest.find((each) => typeof each === 'object') ?? {};
      for (const [name, value] of Object.entries(headers)) more[name] = String(value);
      return response;
    },
    write(chunk: unknown) {
      keep(chunk);
      return true;
    },
    end(chunk: unknown) {
      keep(chunk);
      const headers = { ...(response.getHeaders() as Reply['headers']), ...more };
      whole.resolve({ status: response.statusCode, headers, body: Buffer.concat(pieces) });
      return response;
    },
  });
  const head = ({ status, headers, body }: Reply) => {
    for (const name of response.getHeaderNames()) response.removeHeader(name);
    writeHead(status, { ...headers, 'content-length': String(body.length) });
  };
  return {
    whole: whole.promise,
    head,
    write,
    send(reply: Reply) {
      head(reply);
      end(reply.body);
    },
  };
}

function refusal(to: Target, fault: Fault & { kind: 'error' | 'status' | 'garbage' }): Reply {
  const version = to === 'dynamodb' || to === 'sqs' || to === 'states' ? '1.0' : '1.1';
  const headers = { 'content-type': `application/x-amz-json-${version}` };
  if (fault.kind === 'garbage') return { status: 200, headers, body: Buffer.from('{"Item": {') };
  const type = fault.kind === 'error' ? fault.code : 'InternalServerError';
  const status = fault.status ?? 500;
  return {
    status,
    headers: { ...headers, 'x-amzn-errortype': type },
    body: Buffer.from(JSON.stringify({ __type: type, message: 'planted' })),
  };
}
