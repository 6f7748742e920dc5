const ELLIPSIS = '…';

/**
 * The text with at most so many characters: cut where a word ends, with an ellipsis. A word that takes up most of the
 * room is cut in its midst. Every text that people read is shortened by this and by nothing else.
 */
export function shorten(text: string, most: number): string {
  const characters = [...text];
  if (characters.length <= most) return text;
  const room = characters.slice(0, most - ELLIPSIS.length);
  const rest = characters[room.length] ?? '';
  const end = /\s/.test(rest) ? room.length : room.findLastIndex((character) => /\s/.test(character));
  const kept = end > room.length / 2 ? room.slice(0, end) : room;
  return `${kept.join('').trimEnd()}${ELLIPSIS}`;
}
