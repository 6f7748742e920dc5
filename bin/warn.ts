/** Tells the operator something in one line of standard error. */
export function warn(message: string): void {
  process.stderr.write(`xensnap: ${message.replaceAll(/\s*\n\s*/g, ' ')}\n`);
}
