import { describe, expect, it } from 'vitest';
import { Deadline } from '../../http/deadline.ts';
import { decodeReply } from '../../xapi/codec.ts';
import { xmlLimits } from '../../xapi/limits.ts';
import { success } from './raw-server.ts';

const decode = (xml: string | Buffer, seconds = 60) =>
  decodeReply([Buffer.from(xml)], 'pool', new Deadline(seconds));
const refusal = (problem: string) => ({
  name: 'XapiProtocolError',
  message: expect.stringMatching(new RegExp(`^pool: this is not XML-RPC: ${problem}`)),
});

const MIB = 2 ** 20;
const text = (inner: string) => success(`<string>${inner}</string>`);

/** 8 MiB of each, which sax would read to the end, some in hours. */
const hostile: Record<string, () => string | Buffer> = {
  'a document type': () => `<!DOCTYPE a [<!ENTITY b "c">]>${success('&b;')}`,
  'a billion laughs': () =>
    `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "lol">${'bcdefghi'.replaceAll(/./g, (name) => {
      const before = String.fromCharCode(name.charCodeAt(0) - 1);
      return `<!ENTITY ${name} "${`&${before};`.repeat(10)}">`;
    })}]>${success('&i;')}`,
  'an external entity': () => `<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>${success('&b;')}`,
  'a declaration that never ends': () => `<!${'a'.repeat(8 * MIB)}`,
  'a document type behind a space': () => `< !DOCTYPE ${'a'.repeat(8 * MIB)}`,
  'declarations without a number': () => `<!${'a'.repeat(60_000)}>`.repeat(140),
  'a comment that never ends': () => `<!--${'-x'.repeat(4 * MIB)}`,
  'comments without a number': () => '<!-- -->'.repeat(MIB),
  'a CDATA section': () => success('<![CDATA[x]]>'),
  'a CDATA section that never ends': () => success(`<![CDATA[${']'.repeat(8 * MIB)}`),
  'a processing instruction': () => success('<?php x ?>'),
  'processing instructions without a number': () => '<?xml ?>'.repeat(MIB),
  'an attribute': () => success('<string a="b">x</string>'),
  'a huge attribute': () => success(`<string a="${'x'.repeat(8 * MIB)}">x</string>`),
  'attributes without a number': () => success(`<string${' a'.repeat(4 * MIB)}>x</string>`),
  'a huge name': () => `<${'a'.repeat(8 * MIB)}`,
  'a huge text': () => text('x'.repeat(xmlLimits.textBytes + 1)),
  'a huge text of entities': () => text('&amp;'.repeat(2 * MIB)),
  'an entity that never ends': () => text(`&${'a'.repeat(8 * MIB)}`),
  'an entity of HTML': () => text('&nbsp;'),
  'an entity that is a property of every object': () => text('&constructor;'),
  'a character that there is not': () => text('&#x110000;'),
  'half of a surrogate pair': () => text('&#xD800;'),
  'the character 0': () => text('&#0;'),
  'a million elements in each other': () => '<array><data>'.repeat(MIB / 2),
  'a million elements in each other, and closed': () => success(`${'<a>'.repeat(MIB)}${'</a>'.repeat(MIB)}`),
  'closing tags that close nothing': () => success(`${'<a></b>'.repeat(MIB)}`),
  'unclosed tags': () => success('<array><data><value>'),
  'tags closed in the wrong order': () => success('<array><data></array></data>'),
  'a tag that opens and closes': () => success('</string/>'),
  'elements without a number': () =>
    success(`<array><data>${'<nil/>'.repeat(xmlLimits.elements * 4)}</data></array>`),
  base64: () => success('<base64>eA==</base64>'),
  'two documents': () => success('x') + success('x'),
  'text behind its end': () => `${success('x')}x`,
  'spaces behind its end': () => success('x') + ' '.repeat(8 * MIB),
  'spaces within a tag': () => success(`<${' '.repeat(8 * MIB)}a>`),
  'a byte order mark': () => `\uFEFF${success('x')}`,
  'UTF-16': () => Buffer.from(`\uFEFF${success('x')}`, 'utf16le'),
  zeros: () => Buffer.alloc(8 * MIB),
  'less-than signs': () => '<'.repeat(8 * MIB),
  ampersands: () => text('&'.repeat(8 * MIB)),
};

describe('what no xapi sends is refused at the first of it', () => {
  it.each(Object.entries(hostile))('%s', async (_, xml) => {
    const document = xml();
    const before = process.cpuUsage();
    await expect(decode(document)).rejects.toMatchObject(refusal(''));
    // What is let through before the fault takes 2 s at the most.
    expect(process.cpuUsage(before).user / 1e6).toBeLessThan(10);
  });
});

it('quotes no more than a line of what it refuses', async () => {
  const value = 'x'.repeat(500_000);
  for (const type of ['boolean', 'int', 'i8', 'double', 'unknown']) {
    const error = await decode(success(`<${type}>${value}</${type}>`)).catch(String);
    expect(String(error).length).toBeLessThan(300);
  }
});

it.each(['i8', 'dateTime.iso8601', 'double', 'int', 'boolean', 'string', 'name'])(
  'reads the longest text as %s, right or not, in the time that its bytes take',
  async (type) => {
    for (const unit of ['1', ' ', '\n', '-', '20260101T']) {
      const value = unit.repeat(xmlLimits.textBytes / unit.length);
      const before = process.cpuUsage();
      await decode(success(`<${type}>${value}</${type}>`)).catch(() => {});
      expect(process.cpuUsage(before).user / 1e6).toBeLessThan(3);
    }
  },
);

it('keeps keys and names that objects have of themselves apart from those', async () => {
  const keys = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
  const members = keys.map((key) => `<member><name>${key}</name><value>x</value></member>`).join('');
  const reply = await decode(success(`<struct>${members}</struct>`));
  expect(reply.ok && Object.entries(reply.value as object)).toEqual(keys.map((key) => [key, 'x']));
  expect(({} as { x?: unknown }).x).toBeUndefined();
});

describe('reading an answer', () => {
  const large = success(`<array><data>${'<value>0123456789</value>'.repeat(300_000)}</data></array>`);

  it('ends with the time of its call', async () => {
    const before = performance.now();
    await expect(decode(large, 0.2)).rejects.toMatchObject({
      name: 'TimeUp',
      message: 'not all of the answer read within 0.2 s',
    });
    expect(performance.now() - before).toBeLessThan(2000);
  });

  it('ends when its signal is aborted, with the reason of that', async () => {
    const abort = new AbortController();
    const reading = decodeReply([Buffer.from(large)], 'pool', new Deadline(60, abort.signal));
    setImmediate(() => abort.abort(new Error('closing')));
    await expect(reading).rejects.toThrow('closing');
  });

  it('is the same however its bytes are cut', async () => {
    const xml = Buffer.from(
      success('<struct><member><name>ä€😀</name><value>&amp;&#x1F600;</value></member></struct>'),
    );
    const whole = await decodeReply([xml], 'pool', new Deadline(60));
    const cut = await decodeReply(
      [...xml].map((byte) => Buffer.of(byte)),
      'pool',
      new Deadline(60),
    );
    expect(cut).toEqual(whole);
    expect(whole.ok && whole.value).toEqual({ 'ä€😀': '&😀' });
  });
});
