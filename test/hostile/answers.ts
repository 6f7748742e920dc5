import { deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';

/** Bytes to write, one piece after the other, and how it ends. */
export interface Script {
  readonly name: string;
  readonly pieces: readonly (string | Buffer)[];
  /** After the last piece: end, break, stay silent, or write on. */
  readonly ending: 'end' | 'break' | 'silence' | 'flood';
}

const size = fc.constantFrom(0, 1, 100, 10_000, 300_000, 3_000_000);
const depth = fc.constantFrom(1, 10, 65, 1000, 100_000);
const status = fc.oneof(
  { weight: 6, arbitrary: fc.constant(200) },
  fc.constantFrom(0, 99, 100, 101, 199, 201, 204, 206, 226, 299, 300, 301, 302, 304, 307, 308),
  fc.constantFrom(
    400,
    401,
    403,
    404,
    407,
    408,
    409,
    410,
    413,
    418,
    429,
    431,
    500,
    502,
    503,
    504,
    511,
    599,
    999,
    10_000,
  ),
);
const type = fc.constantFrom(
  'application/json',
  'text/xml',
  'text/html',
  'text/plain; charset=utf-16',
  'multipart/mixed; boundary=x',
  'x',
  '',
);
const encoded = fc.oneof(
  { weight: 5, arbitrary: fc.constant<[string, (body: Buffer) => Buffer]>(['', (body) => body]) },
  fc.constantFrom<[string, (body: Buffer) => Buffer]>(
    ['content-encoding: gzip\r\n', (body) => gzipSync(body)],
    ['content-encoding: deflate\r\n', (body) => deflateSync(body)],
    ['content-encoding: gzip\r\n', (body) => body],
  ),
);
const header = fc.oneof(
  fc.constantFrom(
    'content-length: -1',
    'content-length: 1e9',
    'content-length: 99999999999999999999',
    'content-length: 5\r\ncontent-length: 6',
    'transfer-encoding: gzip, chunked',
    'transfer-encoding: chunked, chunked',
    'transfer-encoding: x',
    'connection: close',
    'connection: upgrade\r\nupgrade: h2c',
    'location: http://127.0.0.1:1/',
    'location: \u0001',
    'set-cookie: a=b',
    'x-subject-token: a b',
    'x-subject-token: ',
    ': no name',
    'no colon',
    'x\0y: z',
    'x: \n y',
    '\u00ff: \u00ff',
  ),
  fc.constantFrom(1, 200, 5000).map((count) => Array(count).fill('x: y').join('\r\n')),
  fc.constantFrom(100, 20_000, 500_000).map((length) => `x: ${'y'.repeat(length)}`),
  fc.constantFrom(100, 20_000).map((length) => `${'x'.repeat(length)}: y`),
);

/** Bodies that are nearly what is asked for, and some that are nothing like it. */
const bodies = (good: readonly string[]) =>
  fc.oneof(
    { weight: 10, arbitrary: fc.constantFrom(...good) },
    fc
      .tuple(fc.constantFrom(...good), fc.nat({ max: 100 }))
      .map(([text, part]) => text.slice(0, (text.length * part) / 100)),
    fc
      .tuple(fc.constantFrom(...good), fc.nat(), fc.string({ maxLength: 8, unit: 'binary' }))
      .map(([text, at, put]) => {
        const place = at % (text.length + 1);
        return text.slice(0, place) + put + text.slice(place + put.length);
      }),
    fc
      .tuple(
        fc.constantFrom(...good),
        fc.constantFrom('"', '<', '>', '&', '{', '[', '\0', 'null', '1e999', '-'),
      )
      .map(([text, put]) => text.replace(/[a-z]{2,}/, put)),
    fc
      .tuple(
        fc.constantFrom(
          '<',
          '&',
          ' ',
          '[',
          '{"a":',
          '<a>',
          '<a/>',
          '<!',
          '<value/>',
          '&amp;',
          '[],',
          '1',
          '\\u0000',
          '"',
        ),
        size,
      )
      .map(([unit, bytes]) => unit.repeat(bytes / unit.length)),
    fc.tuple(fc.constantFrom(...good), size).map(([text, bytes]) => text + ' '.repeat(bytes)),
    fc
      .tuple(
        fc.constantFrom(['[', ']'], ['{"a":', '}'], ['<array><data>', '</data></array>'], ['<a>', '</a>']),
        depth,
      )
      .map(([[open = '', close = ''], times]) => open.repeat(times) + close.repeat(times)),
    fc.constantFrom(
      '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
      '<html><head><title>502</title></head><body><h1>Bad gateway</h1></body></html>',
      '',
      'null',
      '[]',
      '{}',
      '""',
      '0',
      'true',
    ),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  );

type Framing = (body: Buffer) => { head: string; pieces: (string | Buffer)[] };
const chunk = (data: Buffer) =>
  Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n')]);
const CHUNKED = 'transfer-encoding: chunked\r\n';
const framings: Record<string, Framing> = {
  length: (body) => ({ head: `content-length: ${body.length}\r\n`, pieces: [body] }),
  'too long': (body) => ({ head: `content-length: ${body.length + 5}\r\n`, pieces: [body] }),
  'too short': (body) => ({ head: `content-length: ${body.length >> 1}\r\n`, pieces: [body] }),
  'to the end': (body) => ({ head: '', pieces: [body] }),
  chunked: (body) => ({ head: CHUNKED, pieces: body.length ? [chunk(body), '0\r\n\r\n'] : ['0\r\n\r\n'] }),
  'single bytes': (body) => ({
    head: CHUNKED,
    pieces: [Buffer.concat([...body.subarray(0, 20_000)].map((byte) => chunk(Buffer.of(byte)))), '0\r\n\r\n'],
  }),
  'no last chunk': (body) => ({ head: CHUNKED, pieces: [chunk(body)] }),
  'no chunk size': (body) => ({ head: CHUNKED, pieces: ['zz\r\n', body] }),
  'a huge chunk size': (body) => ({ head: CHUNKED, pieces: ['ffffffffffffffff\r\n', body] }),
  'a long extension': (body) => ({ head: CHUNKED, pieces: [`1;${'x'.repeat(100_000)}\r\nx\r\n`, body] }),
  trailers: (body) => ({ head: CHUNKED, pieces: [chunk(body), `0\r\n${'x: y\r\n'.repeat(2000)}\r\n`] }),
  both: (body) => ({
    head: `${CHUNKED}content-length: ${body.length}\r\n`,
    pieces: [chunk(body), '0\r\n\r\n'],
  }),
  'one more answer': (body) => ({
    head: `content-length: ${body.length}\r\n`,
    pieces: [body, 'HTTP/1.1 200 OK\r\n\r\n'],
  }),
};

/** Answers of a peer that is broken or means harm; those that are `good` come whole in many of them. */
export function hostileAnswers(
  good: readonly string[],
  goodStatus: number,
  goodHeaders: string,
): fc.Arbitrary<Script> {
  const whole = fc
    .record({
      body: bodies(good),
      framing: fc.oneof(
        { weight: 2, arbitrary: fc.constantFrom('length', 'chunked') },
        fc.constantFrom(...Object.keys(framings)),
      ),
      status: fc.oneof({ weight: 4, arbitrary: fc.constant(goodStatus) }, status),
      type,
      encoded,
      more: fc.oneof({ weight: 2, arbitrary: fc.constant<string[]>([]) }, fc.array(header, { maxLength: 2 })),
      interim: fc.constantFrom(0, 0, 0, 0, 0, 0, 1, 3, 200),
      interimStatus: fc.constantFrom(100, 102, 103, 199),
      ending: fc.constantFrom<Script['ending']>('end', 'end', 'end', 'end', 'end', 'end', 'break', 'silence'),
    })
    .map(
      ({
        body,
        framing,
        status: code,
        type: contentType,
        encoded: [encoding, pack],
        more,
        ...rest
      }): Script => {
        const framed = framings[framing]?.(pack(Buffer.from(body)));
        const head = [
          `HTTP/1.1 ${code} Answer\r\ncontent-type: ${contentType}\r\n${goodHeaders}${encoding}${framed?.head}`,
          ...more.map((line) => `${line}\r\n`),
          '\r\n',
        ];
        const before = `HTTP/1.1 ${rest.interimStatus} Wait\r\n\r\n`.repeat(rest.interim);
        return {
          name: framing,
          pieces: [before + head.join(''), ...(framed?.pieces ?? [])],
          ending: rest.ending,
        };
      },
    );
  const noHttp = fc
    .tuple(
      fc.constantFrom(
        '',
        '\0',
        'HTTP/1.1',
        'HTTP/1.1 200 OK\r\n',
        'HTTP/2 200\r\n\r\n',
        'HTTP/0.9 200 OK\r\n\r\n',
        'ICY 200 OK\r\n\r\n',
        'SSH-2.0-OpenSSH_9.6\r\n',
        '\x15\x03\x01\x00\x02\x02\x46',
        'GET / HTTP/1.1\r\n\r\n',
        '\r\n'.repeat(1000),
      ),
      fc.constantFrom<Script['ending']>('end', 'break', 'silence'),
    )
    .map(([text, ending]): Script => ({ name: 'no HTTP', pieces: [Buffer.from(text, 'latin1')], ending }));
  const endless = fc
    .constantFrom(
      ['HTTP/1.1 200 OK\r\n', 'x: y\r\n'],
      ['HTTP/1.1 200 O', 'K'],
      ['', 'HTTP/1.1 102 Wait\r\n\r\n'],
      [`HTTP/1.1 200 OK\r\n${CHUNKED}\r\n`, '1\r\nx\r\n'],
      [`HTTP/1.1 200 OK\r\n${CHUNKED}\r\n1;`, 'x'],
      ['HTTP/1.1 200 OK\r\n\r\n', ' '],
      ['HTTP/1.1 200 OK\r\n\r\n', '<value/>'],
      ['HTTP/1.1 503 No\r\n\r\n', '<p>'],
    )
    .map(
      ([first = '', unit = '']): Script => ({
        name: 'endless',
        pieces: [first, unit.repeat(4000)],
        ending: 'flood',
      }),
    );
  return fc.oneof(
    { weight: 40, arbitrary: whole },
    { weight: 4, arbitrary: noHttp },
    { weight: 1, arbitrary: endless },
  );
}
