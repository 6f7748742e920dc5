import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A refusal in AWS's words: the SDK client raises the exception class whose name is `type`. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  readonly type: string;
  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

/** One operation of a service: the parsed request in, the response out; a thrown ServiceError becomes a 400. */
export type Operation = (request: Record<string, unknown>) => unknown;

/** Something that listens on loopback until it is closed. */
export interface LocalServer {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves AWS's JSON protocol on 127.0.0.1: the operation's name is in `X-Amz-Target`, after `target` and a dot.
 * Signatures are not looked at.
 */
export async function serveJson(options: {
  target: string;
  version: '1.0' | '1.1';
  operations: Record<string, Operation>;
  port?: number;
}): Promise<LocalServer> {
  const server = createServer(async (request, response) => {
    const { status, body } = await answer(request, options);
    response.writeHead(status, {
      'content-type': `application/x-amz-json-${options.version}`,
      'x-amzn-requestid': randomUUID(),
    });
    response.end(JSON.stringify(body));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  request: IncomingMessage,
  { target, operations }: { target: string; operations: Record<string, Operation> },
): Promise<{ status: number; body: unknown }> {
  try {
    const [service, name = ''] = String(request.headers['x-amz-target'] ?? '').split('.');
    const operation = service === target && Object.hasOwn(operations, name) ? operations[name] : undefined;
    if (!operation)
      throw new ServiceError('UnknownOperationException', `${service}.${name} is not served here`);
    const body = (await operation(await read(request))) ?? {};
    return { status: 200, body };
  } catch (error) {
    if (error instanceof ServiceError)
      return { status: 400, body: { __type: error.type, message: error.message } };
    return { status: 500, body: { __type: 'InternalFailure', message: String(error) } };
  }
}

async function read(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  try {
    const parsed: unknown = JSON.parse(Buffer.concat(chunks).toString() || '{}');
    if (parsed !== null && typeof parsed === 'object') return parsed as Record<string, unknown>;
  } catch {}
  throw new ServiceError('SerializationException', 'The request is not a JSON object');
}

/** A required string of a request. */
export function requiredString(request: Record<string, unknown>, field: string): string {
  const value = request[field];
  if (typeof value === 'string' && value !== '') return value;
  throw new ServiceError(
    'ValidationException',
    `Value at '${field}' failed to satisfy constraint: Member must not be null`,
  );
}

/** How AWS's JSON protocols write a time: seconds since 1970, with a fraction. */
export function epochSeconds(date: Date): number {
  return date.getTime() / 1000;
}
