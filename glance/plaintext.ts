import { shorten } from './shorten.ts';

const longest = 300;
const entities: Record<string, string> = {
  lt: '<',
  gt: '>',
  quot: '"',
  amp: '&',
  '#x27': "'",
  '#39': "'",
  nbsp: ' ',
};

/**
 * The one sentence inside an error body. Glance answers in HTML, in text or, when JSON is accepted, in JSON whose
 * `message` still holds markup; proxies in front of it send pages of their own. Keystone answers in JSON.
 */
export function plainText(body: string): string {
  const text = jsonMessage(body) ?? body;
  const words = text
    .slice(0, 20_000)
    .replace(/<(head|h1|style|script)\b.*?<\/\1>/gis, ' ')
    .replace(/<[^>]*>/g, ' ')
    .replace(/&([a-z]+|#x?[0-9a-f]+);/gi, (all, name: string) => entities[name.toLowerCase()] ?? all)
    .replace(/^\s*\d{3} [A-Z][\w ]+\n/, '') // the status line that opens a text body
    .replace(/\s+/g, ' ')
    .trim();
  return shorten(words, longest);
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

/** The text without the secrets that it may quote. Before anything is cut off: half a secret is one as well. */
export function hide(text: string, secrets: readonly string[]): string {
  return secrets.reduce((rest, secret) => (secret === '' ? rest : rest.replaceAll(secret, '(hidden)')), text);
}
