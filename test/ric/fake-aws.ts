import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What AWS's services answer a function: to an operation, by the request. A number is the status of a failure. */
export type Answers = Readonly<
  Record<string, (request: Readonly<Record<string, unknown>>) => object | number>
>;

/** All of AWS's services behind one address, answering what they are told; what they are not told, they refuse. */
export async function fakeAws(answers: Answers) {
  const server = createServer(async (request, response) => {
    const operation = String(request.headers['x-amz-target']).split('.').at(-1) ?? '';
    const body = JSON.parse(Buffer.concat(await request.toArray()).toString() || '{}') as Record<
      string,
      unknown
    >;
    const answer = answers[operation]?.(body) ?? 400;
    const refused = typeof answer === 'number';
    response.writeHead(refused ? answer : 200, { 'content-type': 'application/x-amz-json-1.0' });
    const type = operation.endsWith('Item') ? 'ConditionalCheckFailedException' : 'ResourceNotFoundException';
    response.end(JSON.stringify(refused ? { __type: answer >= 500 ? 'InternalServerError' : type } : answer));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    environment: {
      AWS_ENDPOINT_URL: endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'x',
      AWS_SECRET_ACCESS_KEY: 'x',
    },
    close: () =>
      new Promise((closed) => {
        server.close(closed);
        server.closeAllConnections();
      }),
  };
}
