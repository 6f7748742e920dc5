import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { encodeFailure, encodeSuccess } from '../../../local/pool/xmlrpc.ts';
import { aPool } from './a-pool.ts';

const HEAD = '<?xml version="1.0"?><methodResponse><params><param>';
const FOOT = '</param></params></methodResponse>';

function post(url: string, body: string, init: RequestInit = {}): Promise<Response> {
  return fetch(url, { method: 'POST', body, headers: { 'content-type': 'text/xml' }, ...init });
}

function callBody(method: string, ...params: string[]): string {
  const values = params.map((param) => `<param><value><string>${param}</string></value></param>`).join('');
  return `<?xml version="1.0"?>\n<methodCall>\n<methodName>${method}</methodName>\n<params>${values}</params></methodCall>`;
}

it('writes values as ocaml-rpc does: bare strings, no white space, integers as strings, dates without dashes', () => {
  const date = new Date('2026-11-24T06:10:42.500Z');
  expect(
    encodeSuccess({
      s: 'a<&>"\'',
      i: '5',
      b: true,
      f: 0.5,
      one: 1,
      d: date,
      e: '',
      l: ['x'],
      m: {},
      none: [],
    }),
  ).toBe(
    `${HEAD}<value><struct><member><name>Status</name><value>Success</value></member><member><name>Value</name><value><struct>` +
      "<member><name>s</name><value>a&lt;&amp;&gt;&quot;'</value></member>" +
      '<member><name>i</name><value>5</value></member>' +
      '<member><name>b</name><value><boolean>1</boolean></value></member>' +
      '<member><name>f</name><value><double>0.5</double></value></member>' +
      '<member><name>one</name><value><double>1</double></value></member>' +
      '<member><name>d</name><value><dateTime.iso8601>20261124T06:10:42Z</dateTime.iso8601></value></member>' +
      '<member><name>e</name><value></value></member>' +
      '<member><name>l</name><value><array><data><value>x</value></data></array></value></member>' +
      '<member><name>m</name><value><struct></struct></value></member>' +
      '<member><name>none</name><value><array><data></data></array></value></member>' +
      `</struct></value></member></struct></value>${FOOT}`,
  );
});

it('answers failures with HTTP 200, on any path', async () => {
  await using world = await aPool({ vms: 0 });
  for (const path of ['/', '/RPC2', '/xmlrpc']) {
    const response = await post(world.pool.url + path, callBody('VM.get_all', 'OpaqueRef:gone'));
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/xml');
    expect(await response.text()).toBe(encodeFailure(['SESSION_INVALID', 'OpaqueRef:gone']));
  }
});

it('answers system.listMethods without Status', async () => {
  await using world = await aPool({ vms: 0 });
  const text = await (await post(world.pool.url, callBody('system.listMethods'))).text();
  expect(text.startsWith(`${HEAD}<value><array><data><value>`)).toBe(true);
  expect(text).toContain('<value>VM.snapshot</value>');
  expect(text).not.toContain('<value>VM.snapshot_with_quiesce</value>');
});

it('wants a Content-Length, at most 300 KiB of body and 1,024 bytes of headers', async () => {
  await using world = await aPool({ vms: 0 });
  const { url } = world.pool;
  const chunked = new ReadableStream({ start: (controller) => controller.close() });
  const withoutLength = await fetch(url, { method: 'POST', body: chunked, duplex: 'half' } as RequestInit);
  expect(withoutLength.status).toBe(500);
  const tooMuch = await post(url, callBody('VM.get_all', 'x'.repeat(300 * 1024))).catch(() => undefined);
  expect(tooMuch?.status ?? 500).toBe(500);
  const longHeader = await post(url, callBody('VM.get_all'), { headers: { cookie: 'x'.repeat(1000) } });
  expect(longHeader.status).toBe(431);
});

it('takes a body in pieces, and bare strings as well as typed ones', async () => {
  await using world = await aPool({ vms: 0 });
  const { hostname, port } = new URL(world.pool.url);
  const { username, password } = world.pool;
  const params = [username, password].map((text) => `<param><value>${text}</value></param>`).join('');
  const body = `<methodCall><methodName>session.login_with_password</methodName><params>${params}</params></methodCall>`;
  const socket = connect(Number(port), hostname);
  socket.write(`POST / HTTP/1.0\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 20)}`);
  socket.write(body.slice(20));
  let answer = '';
  for await (const chunk of socket) answer += chunk;
  expect(answer).toContain('<value>Success</value>');
  expect(answer).toMatch(/<value>OpaqueRef:[0-9a-f-]{36}<\/value>/);
});
