import { afterEach, expect, it, vi } from 'vitest';
import { handler } from '../../../functions/api/handler.ts';

afterEach(() => vi.unstubAllEnvs());

it('answers API Gateway, with the runtime of its environment', async () => {
  const pools = [{ name: 'demo', addresses: ['http://127.0.0.1:9'], secretId: 'pool' }];
  const config = { installation: 'test', pools, glance: { url: 'http://127.0.0.1:9' } };
  vi.stubEnv('XENSNAP_CONFIG', JSON.stringify(config));
  vi.stubEnv('XENSNAP_TABLE', 'xensnap');
  vi.stubEnv('XENSNAP_STATE_MACHINE_ARN', 'arn:aws:states:us-east-1:000000000000:stateMachine:xensnap');
  vi.stubEnv('XENSNAP_QUEUE_URL', 'http://127.0.0.1:9/xensnap.fifo');
  vi.stubEnv('AWS_REGION', 'us-east-1');
  const ask = async (method: string, path: string, body?: string) => {
    const event = {
      version: '2.0',
      routeKey: '$default',
      rawPath: path,
      rawQueryString: '',
      headers: { host: 'api.example.com', ...(body && { 'content-type': 'application/json' }) },
      requestContext: { http: { method, path }, domainName: 'api.example.com' },
      isBase64Encoded: false,
      ...(body && { body }),
    };
    const answer = await handler(event as never, {} as never);
    return { ...answer, document: JSON.parse(answer.body ?? '{}') };
  };
  const document = await ask('GET', '/openapi.json');
  expect([document.statusCode, document.document.openapi]).toEqual([200, '3.1.0']);
  const refused = await ask('POST', '/snapshots', '{"vm":1}');
  expect([refused.statusCode, refused.document.error.message]).toEqual([400, 'vm: must be a string']);
  const wrong = await ask('PUT', '/vms');
  expect([wrong.statusCode, wrong.headers?.allow]).toEqual([405, 'GET, HEAD']);
});
