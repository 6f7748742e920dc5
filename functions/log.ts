/** Structured log lines. Fields never hold a secret: no credential, session, token or request body is logged. */
export interface Log {
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
  /** The same log with these fields in every line. */
  with(fields: Record<string, unknown>): Log;
}

/** Logs one JSON object a line to `write`. */
export function jsonLog(
  write: (line: string) => void = (line) => process.stdout.write(`${line}\n`),
  always: Record<string, unknown> = {},
): Log {
  const line =
    (level: string) =>
    (message: string, fields: Record<string, unknown> = {}) =>
      write(JSON.stringify({ level, time: new Date().toISOString(), message, ...always, ...fields }));
  return {
    info: line('INFO'),
    warn: line('WARN'),
    error: line('ERROR'),
    with: (fields) => jsonLog(write, { ...always, ...fields }),
  };
}
