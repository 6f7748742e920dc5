import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { Agent } from 'undici';
import { expect, it, onTestFinished } from 'vitest';
import { Deadline } from '../../http/deadline.ts';
import { AGENT_LIMITS, exchange } from '../../http/exchange.ts';

/** Asks a server that does with the socket what it is told, once the request is there. */
async function answeredBy(
  answer: (socket: Socket, head: string) => void,
  {
    seconds = 10,
    maxBytes = 1000,
    signal,
  }: { seconds?: number; maxBytes?: number; signal?: AbortSignal } = {},
) {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (head) => answer(socket, head.toString('latin1')));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const agent = new Agent(AGENT_LIMITS);
  onTestFinished(async () => {
    await agent.destroy();
    server.close();
  });
  const { status, headers, body } = await exchange(agent, {
    ...{ origin: `http://127.0.0.1:${port}`, path: '/', method: 'GET', headers: {} },
    ...{ deadline: new Deadline(seconds, signal), maxBytes },
  });
  return { status, headers, body: body.text };
}

/** Writes as long as somebody reads. */
function flood(socket: Socket, first: string, then: string) {
  socket.write(first);
  const piece = then.repeat(5000);
  const more = () => {
    while (socket.writable && socket.write(piece));
    if (socket.writable) socket.once('drain', more);
  };
  more();
}

const HEAD = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${HEAD}transfer-encoding: chunked\r\n\r\n`;
const lost = (message: string) => ({
  name: 'NoAnswer',
  sent: true,
  cause: expect.objectContaining({ message: expect.stringContaining(message) }),
});

it('asks for no encoding, and undoes none', async () => {
  const zipped = gzipSync('x'.repeat(100_000));
  let asked = '';
  const { body, headers } = await answeredBy((socket, head) => {
    asked = head;
    socket.write(`${HEAD}content-encoding: gzip\r\ncontent-length: ${zipped.length}\r\n\r\n`);
    socket.write(zipped);
  });
  expect(asked).not.toMatch(/accept-encoding/i);
  expect(headers['content-encoding']).toBe('gzip');
  expect(body).toBe(zipped.toString());
});

it.each<[string, string]>([
  ['by its content-length', `${HEAD}content-length: 1001\r\n\r\n${'x'.repeat(1001)}`],
  ['in chunks', `${CHUNKED}${'1\r\nx\r\n'.repeat(1001)}`],
  ['to its end', `${HEAD}\r\n${'x'.repeat(1001)}`],
])('takes no more bytes than it was told, of a body that goes on %s', async (_, bytes) => {
  await expect(answeredBy((socket) => socket.write(bytes))).rejects.toMatchObject({
    name: 'AnswerTooLarge',
    maxBytes: 1000,
  });
});

it('takes just as many', async () => {
  const bytes = `${HEAD}content-length: 1000\r\n\r\n${'x'.repeat(1000)}`;
  expect((await answeredBy((socket) => socket.write(bytes))).body).toHaveLength(1000);
});

it('takes no more than 16 KiB of headers, nor of trailers', async () => {
  const fields = `x: ${'y'.repeat(100)}\r\n`.repeat(200);
  await expect(answeredBy((socket) => socket.write(`${HEAD}${fields}\r\n`))).rejects.toMatchObject(
    lost('Headers Overflow'),
  );
  await expect(
    answeredBy((socket) => socket.write(`${CHUNKED}1\r\nx\r\n0\r\n${fields}\r\n`)),
  ).rejects.toMatchObject(lost('Headers Overflow'));
});

it('reads past some answers that are none yet, and not past many', async () => {
  const hints = (count: number) => 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'.repeat(count);
  const whole = `${HEAD}content-length: 1\r\n\r\nx`;
  const { status, headers } = await answeredBy((socket) => socket.write(hints(3) + whole));
  expect([status, headers.link]).toEqual([200, undefined]);
  await expect(answeredBy((socket) => socket.write(hints(100) + whole))).rejects.toMatchObject(
    lost('answers without an end'),
  );
});

it.each<[string, (socket: Socket) => void]>([
  ['that never comes', () => {}],
  ['with a status line that never ends', (socket) => flood(socket, 'HTTP/1.1 200 O', 'K')],
  ['with the extension of a chunk that never ends', (socket) => flood(socket, `${CHUNKED}1;`, 'x')],
  ['with chunks that are nearly empty', (socket) => flood(socket, CHUNKED, '1\r\nx\r\n')],
])('ends within its time with an answer %s', async (_, answer) => {
  const before = performance.now();
  await expect(answeredBy(answer, { seconds: 0.3, maxBytes: 2 ** 30 })).rejects.toMatchObject({
    name: 'NoAnswer',
    sent: true,
  });
  expect(performance.now() - before).toBeLessThan(3000);
});

it('counts all of an answer’s time together, however steadily its bytes come', async () => {
  const drip = (socket: Socket) => {
    socket.write(CHUNKED);
    const timer = setInterval(() => socket.write('1\r\nx\r\n'), 20);
    socket.on('close', () => clearInterval(timer));
  };
  await expect(answeredBy(drip, { seconds: 0.5 })).rejects.toMatchObject(lost('nothing heard within 0.5 s'));
});

it('keeps single bytes without an object for each', async () => {
  const bytes = 2 ** 20;
  const before = process.memoryUsage();
  const { body } = await answeredBy(
    (socket) => socket.end(`${CHUNKED}${'1\r\nx\r\n'.repeat(bytes)}0\r\n\r\n`),
    { seconds: 60, maxBytes: bytes },
  );
  expect(body).toHaveLength(bytes);
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  expect(heapUsed + arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(100 * 2 ** 20);
});

it('ends when its signal is aborted, with the signal’s reason as the cause', async () => {
  const abort = new AbortController();
  const reason = new Error('closing');
  const answer = answeredBy(() => abort.abort(reason), { signal: abort.signal });
  await expect(answer).rejects.toMatchObject({ name: 'NoAnswer', sent: true, cause: reason });
});
