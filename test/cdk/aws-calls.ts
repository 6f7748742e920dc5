import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Environment } from '../../functions/runtime/environment.ts';
import { LOCAL_AWS } from '../../local/aws/in-process.ts';

/** What each function asked AWS for: `Admit dynamodb:GetItem`. */
export interface AwsCalls {
  readonly seen: ReadonlySet<string>;
  /** The endpoints for a function: each leads to the real one, and is remembered. */
  endpointsOf(name: string): Record<string, string>;
  close(): Promise<void>;
}

const SERVICES: Readonly<Record<string, string>> = {
  DynamoDB_20120810: 'dynamodb',
  AWSStepFunctions: 'states',
  AmazonSQS: 'sqs',
  secretsmanager: 'secretsmanager',
};

/** Stands between the functions and the local AWS, and notes which function calls what. */
export async function watchAwsCalls(environment: Environment): Promise<AwsCalls> {
  const endpoints = Object.entries(environment).filter(([name]) => name.startsWith('AWS_ENDPOINT_URL_'));
  const seen = new Set<string>();
  const server = createServer((incoming, answer) => {
    const [, name = '', variable = '', ...path] = (incoming.url ?? '').split('/');
    const [service = '', operation] = String(incoming.headers['x-amz-target']).split('.');
    seen.add(`${name} ${SERVICES[service] ?? service}:${operation}`);
    const url = new URL(path.join('/'), `${environment[variable]}/`);
    const forwarded = request(url, {
      method: incoming.method,
      headers: { ...incoming.headers, host: url.host },
      agent: LOCAL_AWS.requestHandler.httpAgent,
    });
    forwarded.on('response', (response) => {
      answer.writeHead(response.statusCode ?? 500, response.headers);
      response.pipe(answer);
    });
    forwarded.on('error', () => answer.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  return {
    seen,
    endpointsOf: (name) =>
      Object.fromEntries(
        endpoints.map(([variable]) => [variable, `http://127.0.0.1:${port}/${name}/${variable}`]),
      ),
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}
