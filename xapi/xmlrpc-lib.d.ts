/** The xmlrpc package's codec, which its own types leave out: they cover only its client and server. */

declare module 'xmlrpc/lib/serializer.js' {
  const serializer: {
    /** @throws Error that quotes the whole string when a character is not legal in XML 1.0 */
    serializeMethodCall(method: string, params: readonly unknown[]): string;
  };
  export default serializer;
}

declare module 'xmlrpc/lib/customtype.js' {
  /** Written as `<tagName>raw</tagName>`, escaped. */
  export default class CustomType {
    constructor(raw: string);
    tagName: string;
  }
}

declare module 'xmlrpc/lib/deserializer.js' {
  /** Its parser, sax, as far as it is fed from here. */
  export interface Parser {
    /** @throws what sax throws, beside telling the deserializer of most faults */
    write(xml: Buffer): void;
    end(): void;
  }

  /** What it uses of a stream. */
  export interface Source {
    setEncoding(encoding: string): void;
    on(event: string, listener: () => void): void;
    pipe(parser: Parser): void;
  }

  export default class Deserializer {
    /** Values read so far. */
    stack: unknown[];
    /** Where in the stack each open array or struct began. */
    marks: number[];
    /** Whether the innermost open element is a `<value>` without a type. */
    value: boolean;
    endDateTime(text: string): void;
    endDouble(text: string): void;
    endBase64(text: string): void;
    endStruct(text: string): void;
    deserializeMethodResponse(stream: Source, callback: (error: unknown, value?: unknown) => void): void;
  }
}
