import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { serveInProcess } from './in-process.ts';

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

/** A stand-in of one of AWS's services; the SDK reaches it as {@link serveInProcess} says. */
export interface LocalServer {
  readonly endpoint: string;
  close(): void;
}

/**
 * Serves AWS's JSON protocol within this process: the operation's name is in `X-Amz-Target`, after `target` and a dot.
 * Signatures are not looked at: there is no way in for others.
 */
export function serveJson(options: {
  target: string;
  version: '1.0' | '1.1';
  operations: Record<string, Operation>;
}): LocalServer {
  const server = createServer(async (request, response) => {
    const { status, body } = await answer(request, options);
    response.writeHead(status, {
      'content-type': `application/x-amz-json-${options.version}`,
      'x-amzn-requestid': randomUUID(),
    });
    response.end(JSON.stringify(body));
  });
  return serveInProcess(server);
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
