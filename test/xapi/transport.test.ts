import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Deadline } from '../../http/deadline.ts';
import { trustOf } from '../../http/trust.ts';
import { createTransport, type Transport } from '../../xapi/transport.ts';
import { http, type RawServer, startRawServer, success } from './raw-server.ts';

const openThings: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const thing of openThings.splice(0).reverse()) await thing.close();
});

const open = <T extends { close(): Promise<void> }>(thing: T): T => {
  openThings.push(thing);
  return thing;
};
const aServer = async (...args: Parameters<typeof startRawServer>) => open(await startRawServer(...args));
const aTransport = (): Transport => open(createTransport(trustOf({})));
const post = (
  transport: Transport,
  server: { url: string },
  xml = '<a/>',
  { seconds = 30, signal }: { seconds?: number; signal?: AbortSignal } = {},
) => transport.post(new URL(server.url), 'VM.get_record', xml, new Deadline(seconds, signal));

/** The address of a port that was free a moment ago. */
async function aClosedServer(): Promise<RawServer> {
  const server = await startRawServer(() => undefined);
  await server.close();
  return server;
}

describe('a request', () => {
  it('has a Content-Length, and leaves most of the 1,024 bytes that xapi reads of request line and headers', async () => {
    const server = await aServer(() => success('x'));
    await post(aTransport(), server, 'häh');
    const [{ head, body } = expect.fail('no request')] = server.requests;
    expect(body).toBe('häh');
    expect(head).toBe(
      `POST / HTTP/1.1\r\nhost: 127.0.0.1:${server.port}\r\nconnection: keep-alive\r\n` +
        'content-type: text/xml\r\nuser-agent: xensnap\r\ncontent-length: 4\r\n\r\n',
    );
    const longestHostAndLength = 'x'.repeat(255).length + ':65535'.length + '307200'.length;
    expect(Buffer.byteLength(head) + longestHostAndLength).toBeLessThan(1024);
  });

  it('goes over the connection of the one before', async () => {
    const server = await aServer(() => success('x'));
    const transport = aTransport();
    await post(transport, server);
    await post(transport, server);
    expect([server.requests.length, server.connections]).toEqual([2, 1]);
  });

  it('goes over a new connection, once, when the server closed the one before while it was idle', async () => {
    const server = await aServer(() => success('x'));
    const transport = aTransport();
    await post(transport, server);
    const kept = server.requests[0]?.socket ?? expect.fail('no request');
    const closed = once(kept, 'close');
    kept.end();
    await closed;
    await post(transport, server);
    expect([server.requests.length, server.connections]).toEqual([2, 2]);
  });

  it('is refused above 300 KiB, before anything is sent', async () => {
    const server = await aServer(() => success('x'));
    const transport = aTransport();
    await post(transport, server, 'x'.repeat(300 * 1024));
    await expect(post(transport, server, `${'x'.repeat(300 * 1024 - 1)}ä`)).rejects.toMatchObject({
      name: 'XapiRequestTooLarge',
      message: expect.stringContaining('307201 bytes'),
    });
    expect(server.requests).toHaveLength(1);
  });
});

describe('a call that was never sent', () => {
  it.each<[string, () => Promise<{ url: string }>]>([
    ['the port is closed', aClosedServer],
    ['the name is unknown', async () => ({ url: 'http://no-such-host.invalid' })],
  ])('is XapiUnreachable when %s', async (_, where) => {
    await expect(post(aTransport(), await where())).rejects.toMatchObject({
      name: 'XapiUnreachable',
      message: expect.stringMatching(/^http:\/\/.*(ECONNREFUSED|ENOTFOUND|EAI_AGAIN)/),
    });
  });

  it('is XapiUnreachable when the TLS handshake does not end in time', async () => {
    const mute = createServer((socket) => socket.on('error', () => {}).resume());
    mute.listen(0, '127.0.0.1');
    await once(mute, 'listening');
    open({ close: async () => void mute.close() });
    const { port } = mute.address() as { port: number };
    await expect(
      post(aTransport(), { url: `https://127.0.0.1:${port}` }, '<a/>', { seconds: 0.1 }),
    ).rejects.toMatchObject({
      name: 'XapiUnreachable',
      message: `https://127.0.0.1:${port}: nothing heard within 0.1 s`,
    });
  });

  it('gives the reason of a signal that was aborted before', async () => {
    const server = await aServer(() => success('x'));
    const reason = new Error('closing');
    await expect(post(aTransport(), server, '<a/>', { signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
    expect(server.connections).toBe(0);
  });
});

describe('a call whose answer is lost', () => {
  it.each<[string, Parameters<typeof startRawServer>[0]]>([
    ['the connection breaks after the request', () => 'drop'],
    ['the connection ends within the headers', ({ socket }) => void socket.end('HTTP/1.1 200 OK\r\ncontent')],
    [
      'the connection ends within the body',
      ({ socket }) => void socket.end(http('<methodResponse/>').slice(0, -5)),
    ],
  ])('is XapiReplyLost and not sent again when %s', async (_, answer) => {
    const server = await aServer(answer);
    await expect(post(aTransport(), server)).rejects.toMatchObject({
      name: 'XapiReplyLost',
      message: expect.stringMatching(/no answer to VM\.get_record/),
    });
    expect(server.requests).toHaveLength(1);
  });

  it('is XapiReplyLost when the other side takes the connection and drops it without reading', async () => {
    let connections = 0;
    const rude = createServer((socket) => {
      connections += 1;
      socket.on('error', () => {}).destroy();
    });
    rude.listen(0, '127.0.0.1');
    await once(rude, 'listening');
    open({ close: async () => void rude.close() });
    const { port } = rude.address() as { port: number };
    await expect(post(aTransport(), { url: `http://127.0.0.1:${port}` })).rejects.toMatchObject({
      name: 'XapiReplyLost',
    });
    expect(connections).toBe(1);
  });

  it('is XapiReplyLost when a kept connection breaks under the second request, which is not sent again', async () => {
    const server = await aServer((_, index) => (index === 0 ? success('x') : 'drop'));
    const transport = aTransport();
    await post(transport, server);
    await expect(post(transport, server)).rejects.toMatchObject({ name: 'XapiReplyLost' });
    expect([server.requests.length, server.connections]).toEqual([2, 1]);
  });

  it('is XapiReplyLost after the call’s timeout, and the connection is not used again', async () => {
    const server = await aServer((_, index) => (index === 0 ? undefined : success('x')));
    const transport = aTransport();
    await expect(post(transport, server, '<a/>', { seconds: 0.2 })).rejects.toMatchObject({
      name: 'XapiReplyLost',
      message: expect.stringContaining('nothing heard within 0.2 s'),
    });
    await post(transport, server);
    expect(server.connections).toBe(2);
  });

  it('is XapiReplyLost when its signal is aborted on the way, with the signal’s reason as the cause', async () => {
    const abort = new AbortController();
    const reason = new Error('closing');
    const server = await aServer(() => void abort.abort(reason));
    await expect(post(aTransport(), server, '<a/>', { signal: abort.signal })).rejects.toMatchObject({
      name: 'XapiReplyLost',
      cause: reason,
    });
  });
});

it('an answer of more bytes than are taken of that call is XapiProtocolError, and its connection is broken', async () => {
  const server = await aServer(() => success('x'.repeat(3 * 2 ** 20)));
  const transport = aTransport();
  await expect(post(transport, server)).rejects.toMatchObject({
    name: 'XapiProtocolError',
    message: `${server.url}: the answer to VM.get_record has more than 2097152 bytes`,
  });
  await expect(post(transport, server)).rejects.toMatchObject({ name: 'XapiProtocolError' });
  expect(server.connections).toBe(2);
  const all = await transport.post(new URL(server.url), 'VM.get_all_records', '<a/>', new Deadline(30));
  expect(Buffer.concat(all).length).toBeGreaterThan(3 * 2 ** 20);
});

it.each(['HTTP/1.1 500 Internal Error', 'HTTP/1.1 403 Forbidden', 'HTTP/1.1 302 Found'])(
  'an answer “%s” is XapiProtocolError, with the status and without the answer',
  async (statusLine) => {
    const server = await aServer(() => ({ bytes: http('<secret/>', statusLine) }));
    await expect(post(aTransport(), server)).rejects.toMatchObject({
      name: 'XapiProtocolError',
      message: `${server.url}: HTTP status ${statusLine.slice(9, 12)} to VM.get_record, not xapi's 200`,
    });
  },
);
