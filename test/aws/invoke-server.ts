import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { lambdaFailure, lambdaTimeout, TaskFailure } from '../../local/aws/states/failures.ts';
import { forward, read } from '../cdk/aws-calls.ts';
import { MOTO } from './moto.ts';

export interface BackOptions {
  /** Runs the function of an ARN. */
  readonly invoke: (functionArn: string, payload: unknown) => Promise<unknown>;
  /** When Lambda ends it. */
  readonly seconds: (functionArn: string) => number;
  /** Told of each other call, which then goes to moto. */
  readonly onCall: (target: string, body: Readonly<Record<string, unknown>>) => void;
}

/**
 * Listens where moto's Step Functions look for AWS's other services. It answers Lambda's Invoke itself, as Lambda does:
 * what a handler throws comes with its name, and one that takes too long is ended. What remains goes back to moto.
 */
export async function startBack(options: BackOptions): Promise<{ close(): Promise<void> }> {
  const port = Number(process.env.XENSNAP_MOTO_BACK_PORT);
  const server = createServer(async (incoming, answer) => {
    const body = await read(incoming);
    const functionArn = invoked(incoming);
    if (functionArn !== undefined) return answerInvoke(functionArn, body, options, answer);
    options.onCall(String(incoming.headers['x-amz-target']), JSON.parse(body.toString() || '{}'));
    forward({ incoming, body, url: new URL(incoming.url ?? '/', MOTO.endpoint) }, answer);
  });
  await new Promise<void>((listening) => server.listen(port, '127.0.0.1', listening));
  return {
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

function invoked({ url = '' }: IncomingMessage): string | undefined {
  const [, version, functions, arn, what] = url.split('/');
  if (version !== '2015-03-31' || functions !== 'functions' || what !== 'invocations') return undefined;
  return decodeURIComponent(arn ?? '');
}

async function answerInvoke(
  functionArn: string,
  body: Buffer,
  { invoke, seconds }: BackOptions,
  answer: ServerResponse,
): Promise<void> {
  try {
    const result = await ended(invoke(functionArn, JSON.parse(body.toString())), seconds(functionArn));
    answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result) ?? 'null');
  } catch (thrown) {
    const failure = thrown instanceof TaskFailure ? thrown : lambdaFailure(thrown);
    answer
      .writeHead(200, { 'content-type': 'application/json', 'x-amz-function-error': 'Unhandled' })
      .end(failure.message);
  }
}

function ended(work: Promise<unknown>, seconds: number): Promise<unknown> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(lambdaTimeout(seconds)), seconds * 1000);
  return Promise.race([work, promise]).finally(() => clearTimeout(timer));
}
