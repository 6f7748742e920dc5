import { shorten } from './shorten.ts';

const LONGEST = 300;
const entities: Record<string, string> = {
  lt: '<',
  gt: '>',
  quot: '"',
  amp: '&',
  '#x27': "'",
  '#39': "'",
  nbsp: ' ',
};

/** Length of the part of a body in which a sentence is looked for. */
const MOST_LOOKED_AT = 20_000;

/**
 * The one sentence inside an error body. Glance answers in HTML, in text or, when JSON is accepted, in JSON whose
 * `message` still holds markup; proxies in front of it send pages of their own. Keystone answers in JSON.
 */
export function plainText(body: string): string {
  const text = jsonMessage(body) ?? body;
  const words = withoutMarkup(text.slice(0, MOST_LOOKED_AT))
    .replace(/&([a-z]+|#x?[0-9a-f]+);/gi, (all, name: string) => entities[name.toLowerCase()] ?? all)
    .replace(/^\s*\d{3} [A-Z][\w ]+\n/, '') // the status line that opens a text body
    .replace(/\s+/g, ' ')
    .trim();
  return shorten(words, LONGEST);
}

/** Elements of a page whose text is not the sentence. */
const notText: ReadonlySet<string> = new Set(['head', 'h1', 'script', 'style']);

/** A space for each tag, and for what is no text. Each character is looked at once, whatever is never closed. */
function withoutMarkup(text: string): string {
  const [first = '', ...rest] = text.split('<');
  const kept = [first];
  let within: string | undefined;
  for (const piece of rest) {
    const end = piece.indexOf('>');
    const name = /^\/?[a-z][a-z0-9]*/i.exec(piece)?.[0].toLowerCase() ?? '';
    if (within !== undefined && name !== `/${within}`) continue;
    within = notText.has(name) ? name : undefined;
    if (end < 0) kept.push(`<${piece}`);
    else if (within === undefined) kept.push(' ', piece.slice(end + 1));
  }
  return kept.join('');
}

function jsonMessage(body: string): string | undefined {
  if (!body.trimStart().startsWith('{')) return undefined;
  try {
    const parsed = JSON.parse(body);
    // Keystone puts it one deeper.
    const message: unknown = parsed.error?.message ?? parsed.message;
    return typeof message === 'string' ? message : undefined;
  } catch {
    return undefined;
  }
}
