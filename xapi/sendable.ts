/** What XML cannot carry, whatever stands for it: control characters, and the two that are no characters. */
const UNSENDABLE = /[^\t\n\r\u0020-\uFFFD]/;
const EACH_UNSENDABLE = /[^\t\n\r\u0020-\uFFFD]/g;

/** Whether a pool can be sent this text. */
export function isSendable(text: string): boolean {
  return !UNSENDABLE.test(text) && text.isWellFormed();
}

/** The text with U+FFFD in place of each character that a pool cannot be sent. */
export function sendable(text: string): string {
  return text.toWellFormed().replace(EACH_UNSENDABLE, '\ufffd');
}
