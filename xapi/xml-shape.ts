import { xmlLimits } from './limits.ts';

const [LESS, GREATER, AMPERSAND, SEMICOLON, QUESTION] = [0x3c, 0x3e, 0x26, 0x3b, 0x3f];
/** `&#x10FFFF;` */
const LONGEST_ENTITY = 10;

/**
 * Looks at an XML document's bytes, piece by piece, before a parser does, and lets through what xapi writes: elements
 * without attributes that are closed as they were opened, text, and the entities that need no declaration. So the
 * parser gets neither a DTD nor a tag, a text or a depth that could cost it more than the bytes it came in, and what it
 * would mend in silence is refused. Bytes will do: in UTF-8 those of the markup stand for nothing else.
 */
export class XmlShape {
  readonly #open: string[] = [];
  /** The bytes of the tag or entity that is being read. */
  readonly #held = Buffer.alloc(xmlLimits.declarationBytes);
  #heldBytes = 0;
  #within: 'text' | 'tag' | 'entity' = 'text';
  #textBytes = 0;
  #elements = 0;
  #declared = false;
  readonly #mostElements: number;

  /** @param bytes of the whole document */
  constructor(bytes: number) {
    this.#mostElements = xmlLimits.elements + Math.floor(bytes / xmlLimits.bytesPerElement);
  }

  /** @throws Error, in words for the operator, as soon as it is not of that shape */
  take(piece: Uint8Array): void {
    for (let at = 0; at < piece.length; at++) {
      const byte = piece[at] as number;
      if (this.#within === 'text') this.#text(byte);
      else if (byte === (this.#within === 'tag' ? GREATER : SEMICOLON)) this.#heldIsWhole();
      else this.#hold(byte);
    }
  }

  /** @throws Error when the document is not over */
  end(): void {
    if (this.#within !== 'text' || this.#open.length > 0 || this.#elements === 0)
      throw new Error('it ends too early');
  }

  #text(byte: number): void {
    if (byte === LESS || byte === AMPERSAND) {
      this.#within = byte === LESS ? 'tag' : 'entity';
      this.#heldBytes = 0;
      if (byte === LESS) this.#textBytes = 0;
    }
    if (byte !== LESS && this.#open.length === 0 && !isSpace(byte))
      throw new Error('text outside of an element');
    if (byte !== LESS && ++this.#textBytes > xmlLimits.textBytes)
      throw new Error(`a text of more than ${xmlLimits.textBytes} bytes`);
  }

  #hold(byte: number): void {
    if (this.#heldBytes === this.#most())
      throw new Error(`a ${this.#within} of more than ${this.#most()} bytes`);
    this.#held[this.#heldBytes++] = byte;
  }

  #most(): number {
    if (this.#within === 'entity') return LONGEST_ENTITY;
    return this.#held[0] === QUESTION && this.#heldBytes > 0
      ? xmlLimits.declarationBytes
      : xmlLimits.tagBytes;
  }

  #heldIsWhole(): void {
    const held = this.#held.toString('latin1', 0, this.#heldBytes);
    if (this.#within === 'entity') takeEntity(held);
    else this.#tag(held);
    this.#within = 'text';
  }

  #tag(held: string): void {
    if (/^\?xml\s/.test(held) && held.endsWith('?') && this.#elements === 0 && !this.#declared) {
      this.#declared = true;
      return;
    }
    const [, closes, name = '', isEmpty] = /^(\/?)([A-Za-z][A-Za-z0-9.]*)[ \t\r\n]*(\/?)$/.exec(held) ?? [];
    if (name === '') throw new Error(`<${printed(held)}> is no tag of XML-RPC`);
    if (closes) {
      if (isEmpty || this.#open.pop() !== name) throw new Error(`</${name}> closes nothing`);
      return;
    }
    if (this.#open.length === 0 && this.#elements > 0) throw new Error('something follows its end');
    if (++this.#elements > this.#mostElements)
      throw new Error(`more than ${this.#mostElements} elements, too many for its bytes`);
    if (isEmpty) return;
    if (this.#open.push(name) > xmlLimits.depth) throw new Error(`elements in ${xmlLimits.depth} others`);
  }
}

/** @throws Error for one that XML does not have without a declaration, and for a character that there is not */
function takeEntity(name: string): void {
  if (/^(?:lt|gt|amp|quot|apos)$/.test(name)) return;
  const [, hex, decimal] = /^#(?:x([0-9A-Fa-f]+)|(\d+))$/.exec(name) ?? [];
  const code = hex === undefined ? Number.parseInt(decimal ?? '', 10) : Number.parseInt(hex, 16);
  const isCharacter = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
  if (!isCharacter) throw new Error(`&${printed(name)}; is no character`);
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

function printed(text: string): string {
  return text.replaceAll(/[^ -~]/g, '?');
}
