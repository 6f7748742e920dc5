import { html } from 'hono/html';

export type Html = ReturnType<typeof html>;

/** A text of the document, in which what stands between backticks is code. */
export function prose(text: string): Html {
  const parts = text.split('`');
  // A backtick without another is one.
  const end = parts.length % 2 === 0 ? parts.length - 2 : parts.length;
  const shown = parts
    .slice(0, end)
    .map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : part));
  return html`${shown}${parts.slice(end).join('`')}`;
}
