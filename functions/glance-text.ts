import { XensnapError } from './errors.ts';

/** How long a name, a property's name and its value may be in our images; for the first two that is Glance's limit. */
export const MOST_CHARACTERS = 255;

/** Characters beyond U+FFFF and NUL, which Glance or its database refuses, and half surrogate pairs, on which it fails. */
const UNFIT = /[\u{10000}-\u{10ffff}\0]|\p{Cs}/gu;

/** Text as Glance takes it: U+FFFD in place of each character that it does not, and cut to `most` characters. */
export function glanceText(text: string, most = MOST_CHARACTERS): string {
  // All that is left lies below U+FFFF, where a character is one unit.
  return text.replace(UNFIT, '\ufffd').slice(0, most);
}

/** @throws BadRequest for text that must reach Glance as it is, since something goes by it, and cannot */
export function refuseUnfit(field: string, text: string): void {
  const unfit = text.match(UNFIT)?.[0];
  if (unfit === undefined) return;
  const code = unfit.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0');
  throw new XensnapError(
    'BadRequest',
    `${field}: has the character U+${code}, which Glance does not take here. Use others.`,
  );
}
