import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { encodeFailure, encodeSuccess } from '../../../local/pool/wire/xmlrpc.ts';
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
  expect(await exchange(url, ['POST / HTTP/1.1\r\n\r\n'], /<\/html>$/)).toContain(
    'Failure(&quot;We require a content-length: HTTP header&quot;)',
  );
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
  expect(answer.startsWith('HTTP/1.0 200 OK\r\n')).toBe(true);
  expect(answer).toContain('<value>Success</value>');
  expect(answer).toMatch(/<value>OpaqueRef:[0-9a-f-]{36}<\/value>/);
});

/** What comes back for the given text, until `enough`. */
async function exchange(url: string, parts: string[], enough: RegExp): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let answer = '';
  for (const part of parts) {
    socket.write(part);
    // Each part by itself: what may not be answered yet has its chance to be.
    await new Promise((resolve) => setImmediate(resolve));
  }
  for await (const chunk of socket) {
    answer += chunk;
    if (enough.test(answer)) break;
  }
  return answer;
}

it('sends the headers that xapi sends and no others, and no 100 Continue', async () => {
  await using world = await aPool({ vms: 0 });
  const body = callBody('VM.get_all', 'OpaqueRef:gone');
  const head = `POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`;
  const answer = await exchange(world.pool.url, [head, body], /<\/methodResponse>$/);
  expect(answer.split('\r\n\r\n')[0]?.split('\r\n')).toEqual([
    'HTTP/1.1 200 OK',
    expect.stringMatching(/^content-length: \d+$/),
    'connection: keep-alive',
    'cache-control: no-cache, no-store',
    'content-type: text/xml',
    'Access-Control-Allow-Origin: *',
    'Access-Control-Allow-Headers: X-Requested-With',
  ]);
});

it('waits for an empty line that ends in CR LF, whatever the others end in', async () => {
  await using world = await aPool({ vms: 0 });
  const body = callBody('VM.get_all', 'OpaqueRef:gone');
  const head = `POST / HTTP/1.1\nContent-Length: ${body.length}\n\n`;
  const parts = [head, 'X-Late: yes\r\n\r\n', body];
  expect(await exchange(world.pool.url, parts, /<\/methodResponse>$/)).toContain('SESSION_INVALID');
});

it('refuses what is no request, a verb that it does not know, and a page that it does not have', async () => {
  await using world = await aPool({ vms: 0 });
  const status = async (text: string) =>
    (await exchange(world.pool.url, [text], /<\/html>$/)).split('\r\n')[0];
  expect(await status('nonsense\r\n\r\n')).toBe('HTTP/1.1 500 Internal Error');
  expect(await status('DELETE / HTTP/1.0\r\n\r\n')).toBe('HTTP/1.0 501 Method not implemented');
  expect(await status('GET /nothing HTTP/1.1\r\n\r\n')).toBe('HTTP/1.1 404 Not Found');
  expect(await status('PUT /nothing HTTP/1.1\r\n\r\n')).toBe('HTTP/1.1 403 Forbidden');
});

it('does not escape the names in a struct', () => {
  expect(encodeSuccess({ 'a&b': 'c&d' })).toContain('<name>a&b</name><value>c&amp;d</value>');
});
