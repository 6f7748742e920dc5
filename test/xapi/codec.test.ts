import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Deadline } from '../../http/deadline.ts';
import { decodeReply, encodeCall, type WireValue } from '../../xapi/codec.ts';
import { failure, success } from './raw-server.ts';

const decode = (xml: string, seconds = 30) => decodeReply([Buffer.from(xml)], 'pool', new Deadline(seconds));
const valueIn = async (inner: string) => {
  const reply = await decode(success(inner));
  return reply.ok ? reply.value : expect.fail('a failure');
};

describe('a call', () => {
  it('is written as XML-RPC, on one line', () => {
    expect(encodeCall('VM.add_to_other_config', ['OpaqueRef:s', 'k', ''])).toBe(
      '<?xml version="1.0"?><methodCall><methodName>VM.add_to_other_config</methodName><params>' +
        '<param><value><string>OpaqueRef:s</string></value></param>' +
        '<param><value><string>k</string></value></param>' +
        '<param><value><string/></value></param></params></methodCall>',
    );
  });

  it('escapes instead of opening CDATA sections, so that every legal string arrives whole', () => {
    const xml = encodeCall('m', [['a]]>&]]>\r\n<b>'], { 'k&': '<v>' }, true]);
    expect(xml).not.toContain('CDATA');
    expect(xml).toContain('a]]&gt;&amp;]]&gt;&#xD;\n&lt;b&gt;');
  });

  it.each<[string, WireValue]>([
    ['a control character', 'hunter2\u0001'],
    ['a lone surrogate', 'hunter2\uD800'],
    ['a noncharacter', ['hunter2\uFFFE']],
    ['a control character in a key', { 'hunter2\u0000': '' }],
    ['a number that is none', { hunter2: Number.NaN }],
    ['a date', new Date() as unknown as string],
    ['nothing', { hunter2: undefined as unknown as string }],
  ])('is refused with %s, and the error does not quote the argument', (_, argument) => {
    expect(() => encodeCall('secret.create', ['ref', argument])).toThrow(
      expect.objectContaining({
        name: 'XapiRequestInvalid',
        message: expect.stringMatching(/^secret\.create: argument 2 holds (?!.*hunter2)/),
      }),
    );
  });
});

describe('a reply', () => {
  it('gives ints as strings, and booleans, doubles and null references', async () => {
    const struct = (inner: string) => `<struct>${inner}</struct>`;
    const field = (name: string, inner: string) =>
      `<member><name>${name}</name><value>${inner}</value></member>`;
    const record = struct(
      field('virtual_size', '8589934592') +
        field('managed', '<boolean>1</boolean>') +
        field('progress', '<double>0.33333333333333331</double>') +
        field('SR', 'OpaqueRef:NULL') +
        field('name_description', '') +
        field('other_config', struct('')) +
        field('VBDs', '<array><data></data></array>'),
    );
    expect(await valueIn(record)).toEqual({
      virtual_size: '8589934592',
      managed: true,
      progress: 1 / 3,
      SR: 'OpaqueRef:NULL',
      name_description: '',
      other_config: {},
      VBDs: [],
    });
  });

  it('keeps white space, entities, and text longer than the parser’s buffer', async () => {
    expect(await valueIn(' a\n&lt;b&gt; &amp; &quot;c&apos; &#xD;&#13; ')).toBe(' a\n<b> & "c\' \r\r ');
    const long = 'äöü€😀'.repeat(40_000);
    expect(await valueIn(long)).toBe(long);
  });

  it('leaves the process time for other work while it is long', async () => {
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 1);
    const item = '<value>0123456789</value>';
    const items = await valueIn(`<array><data>${item.repeat(100_000)}</data></array>`);
    clearInterval(timer);
    expect(items).toHaveLength(100_000);
    expect(turns).toBeGreaterThan(5);
  });

  it('keeps a key named __proto__', async () => {
    const map = await valueIn('<struct><member><name>__proto__</name><value>x</value></member></struct>');
    expect(Object.entries(map as object)).toEqual([['__proto__', 'x']]);
  });

  it('reads nan and inf, which OCaml writes', async () => {
    expect(await valueIn('<double>nan</double>')).toBeNaN();
    expect(await valueIn('<double>-inf</double>')).toBe(-Infinity);
  });

  it('gives code and parameters of a failure', async () => {
    expect(await decode(failure('HANDLE_INVALID', 'VM', 'OpaqueRef:x'))).toEqual({
      ok: false,
      description: ['HANDLE_INVALID', 'VM', 'OpaqueRef:x'],
    });
  });

  it('gives back whatever was sent', async () => {
    const text = fc
      .string({ unit: 'grapheme' })
      .filter((s) => !/[\uFFFE\uFFFF]|[^\t\n\r\u0020-\uFFFF]/.test(s));
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        text,
        fc.boolean(),
        fc.double({ noNaN: true, noDefaultInfinity: true }).filter((number) => !Object.is(number, -0)),
        fc.integer(),
        fc.array(tie('any'), { maxLength: 3 }),
        fc.dictionary(text, tie('any')),
      ),
    })).any;
    await fc.assert(
      fc.asyncProperty(value, async (sent) => {
        const inner = /<value>(.*)<\/value><\/param>/s.exec(encodeCall('m', [sent as WireValue]))?.[1] ?? '';
        expect(await valueIn(inner)).toEqual(sent);
      }),
      { numRuns: 200 },
    );
  });

  const whole = success('<struct><member><name>uuid</name><value>x</value></member></struct>');
  it.each([
    ['a web page', '<html><head><title>502</title></head><body>Bad gateway</body></html>'],
    ['nothing', ''],
    ['plain text', 'no route'],
    ['half an answer', whole.slice(0, whole.length / 2)],
    ['an answer without its last byte', whole.slice(0, -1)],
    ['a fault', whole.replace(/<params>.*<\/params>/, '<fault><value>no</value></fault>')],
    ['an answer without the envelope', whole.replaceAll('Status', 'State')],
    ['a failure without a description', whole.replace('>Success<', '>Failure<')],
    ['a date that is none', success('<dateTime.iso8601>yesterday</dateTime.iso8601>')],
  ])('is refused when it is %s', async (_, xml) => {
    await expect(decode(xml)).rejects.toMatchObject({
      name: 'XapiProtocolError',
      message: expect.stringMatching(/^pool: /),
    });
  });
});

describe('a date', () => {
  const forms = [
    '20261124T06:10:42Z',
    '20261124T06:10:42',
    '2026-11-24T06:10:42Z',
    '20261124T08:10:42+02:00',
  ];

  it.each(forms)('%s is read as UTC', async (form) => {
    expect(await valueIn(`<dateTime.iso8601>${form}</dateTime.iso8601>`)).toEqual(
      new Date('2026-11-24T06:10:42Z'),
    );
  });

  it('is read as UTC also by a process in New York, and in the hour that summer time skips', () => {
    const script = `
      import { decodeReply } from ${JSON.stringify(new URL('../../xapi/codec.ts', import.meta.url).href)};
      import { Deadline } from ${JSON.stringify(new URL('../../http/deadline.ts', import.meta.url).href)};
      for (const xml of JSON.parse(process.argv[1])) {
        const { value } = await decodeReply([Buffer.from(xml)], 'pool', new Deadline(30));
        console.log(value.toISOString());
      }`;
    const xml = [...forms, '20260308T02:30:00', '19700101T00:00:00Z'].map((form) =>
      success(`<dateTime.iso8601>${form}</dateTime.iso8601>`),
    );
    const output = execFileSync(
      process.execPath,
      ['--input-type=module', '-e', script, JSON.stringify(xml)],
      {
        env: { ...process.env, TZ: 'America/New_York' },
      },
    );
    expect(output.toString().trim().split('\n')).toEqual([
      ...forms.map(() => '2026-11-24T06:10:42.000Z'),
      '2026-03-08T02:30:00.000Z',
      '1970-01-01T00:00:00.000Z',
    ]);
  });
});
