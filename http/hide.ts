/** What stands in the place of a secret in a text that somebody reads. */
export const HIDDEN = '(hidden)';

/** The text without the secrets that it may quote. Before anything is cut off: half a secret is one as well. */
export function hide(text: string, secrets: readonly string[]): string {
  return secrets.reduce((rest, secret) => (secret === '' ? rest : rest.replaceAll(secret, HIDDEN)), text);
}
