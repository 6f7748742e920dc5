import { styleText } from 'node:util';
import { printable } from './format.ts';

/** Columns by heading; a number is aligned to the right, nothing is shown as `-`. */
export type Row = Readonly<Record<string, string | number | null>>;

/** Rows under their headings, in columns as wide as need be. */
export function table(rows: readonly Row[]): string {
  const headings = Object.keys(rows[0] ?? {});
  const columns = headings.map((heading) => {
    const cells = rows.map((row) => cellOf(row[heading]));
    const width = Math.max(heading.length, ...cells.map((cell) => cell.length));
    const right = rows.every((row) => typeof row[heading] === 'number');
    const pad = (cell: string) => (right ? cell.padStart(width) : cell.padEnd(width));
    return { heading: pad(heading), cells: cells.map(pad) };
  });
  const head = columns.map(({ heading }) => heading).join('  ');
  const lines = rows.map((_, index) => columns.map(({ cells }) => cells[index]).join('  '));
  return [
    styleText('bold', head.trimEnd(), { stream: process.stdout }),
    ...lines.map((line) => line.trimEnd()),
  ].join('\n');
}

/** One thing's fields, a line each; null fields are left out. */
export function details(fields: Row): string {
  const shown = Object.entries(fields).filter(([, value]) => value !== null);
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${name.padEnd(width)}  ${cellOf(value)}`).join('\n');
}

function cellOf(value: string | number | null | undefined): string {
  return value === null || value === undefined ? '-' : printable(String(value));
}
