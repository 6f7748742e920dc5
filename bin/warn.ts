import { printable } from './format.ts';

/** Tells the operator something in one line of standard error. */
export function warn(message: string): void {
  process.stderr.write(`xensnap: ${inOneLine(message)}\n`);
}

function inOneLine(text: string): string {
  const lines = text.split('\n').map((line) => printable(line.trim()));
  return lines.filter((line) => line !== '').join(' ');
}
