/** An XML element: children are elements and text, in order. */
export interface XmlElement {
  readonly tag: string;
  readonly children: (XmlElement | string)[];
}

/** The text is not one well-formed XML document. */
export class XmlError extends Error {
  override readonly name = 'XmlError';
}

/** Text for an element's content; like ocaml-rpc it drops the control characters that XML forbids. */
export function escapeXml(text: string): string {
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to drop
    /[\u0000-\u0008\u000b\u000c\u000e-\u001f&<>"]/g,
    (character) => ESCAPES[character] ?? '',
  );
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function unescapeXml(text: string): string {
  return text.replace(/\r\n?/g, '\n').replace(/&(#x[0-9a-fA-F]+|#\d+|\w+)?;?/g, (whole, name?: string) => {
    if (!name || !whole.endsWith(';')) throw new XmlError('illegal character reference');
    if (name.startsWith('#')) {
      return String.fromCodePoint(
        name[1] === 'x' ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1)),
      );
    }
    const text = ENTITIES[name];
    if (text === undefined) throw new XmlError(`unknown entity reference (${name})`);
    return text;
  });
}

/**
 * Parses one document, strictly: text before or after the root element is an error, since a stray line on a plugin's
 * output is one for xapi. Attributes are read over.
 * @throws XmlError with the line on which it happened
 */
export function parseXml(xml: string): XmlElement {
  const illegal = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/u.exec(xml);
  if (illegal) throw new XmlError(`character not allowed in XML at ${illegal.index}`);
  const root: XmlElement = { tag: '', children: [] };
  const open: XmlElement[] = [root];
  const passedOver = /<!--[\s\S]*?-->|<\?[\s\S]*?\?>|<!DOCTYPE[^>]*>/y;
  const cdataSection = /<!\[CDATA\[([\s\S]*?)\]\]>/y;
  const tagWithAttributes = /<(\/?)([\w.:-]+)((?:\s+[\w.:-]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*(\/?)>/y;
  const text = /[^<]+/y;
  let at = 0;
  const next = (token: RegExp) => {
    token.lastIndex = at;
    const match = token.exec(xml);
    if (match) at = token.lastIndex;
    return match;
  };
  const fail = (message: string): never => {
    throw new XmlError(`${message} line ${xml.slice(0, at).split('\n').length}`);
  };
  while (at < xml.length) {
    if (next(passedOver)) continue;
    const [characters] = next(text) ?? [];
    const [, cdata] = characters === undefined ? (next(cdataSection) ?? []) : [];
    const [, closing, tag, , empty] =
      (characters ?? cdata) === undefined ? (next(tagWithAttributes) ?? []) : [];
    if ((characters ?? cdata ?? tag) === undefined) return fail('malformed document');
    const current = open.at(-1) ?? root;
    if (tag !== undefined && closing) {
      if (current.tag !== tag || open.length === 1) fail(`expected </${current.tag}>, found </${tag}>`);
      open.pop();
    } else if (tag !== undefined) {
      if (current === root && root.children.length > 0) fail('expected end of document');
      const element: XmlElement = { tag, children: [] };
      current.children.push(element);
      if (!empty) open.push(element);
    } else if (cdata !== undefined || characters !== undefined) {
      if (current !== root) current.children.push(cdata ?? unescapeXml(characters ?? ''));
      else if ((cdata ?? characters ?? '').trim() !== '') fail('expected root element');
    }
  }
  const [element] = root.children;
  if (open.length > 1 || typeof element !== 'object') return fail('unexpected end of input');
  return element;
}

/** The child elements; white space between them is layout. */
export function elements(parent: XmlElement): XmlElement[] {
  return parent.children.filter((child) => typeof child === 'object');
}

/** The text of an element that holds no other elements. */
export function textOf(element: XmlElement): string {
  return element.children.filter((child) => typeof child === 'string').join('');
}
