import { Logger } from '@aws-lambda-powertools/logger';

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

/**
 * The log of a Lambda: what {@link jsonLog} writes, in Powertools' form, with the function, its version and the X-Ray
 * trace in every line. Its level follows POWERTOOLS_LOG_LEVEL and Lambda's own setting.
 */
export function lambdaLog(): Log {
  const { AWS_LAMBDA_FUNCTION_NAME: name, AWS_LAMBDA_FUNCTION_VERSION: version } = process.env;
  const logger = new Logger({ serviceName: 'xensnap' });
  return over(logger, { function_name: name, function_version: version });
}

function over(logger: Logger, always: Record<string, unknown>): Log {
  return {
    info: (message, fields) => logger.info(message, { ...always, ...fields }),
    warn: (message, fields) => logger.warn(message, { ...always, ...fields }),
    error: (message, fields) => logger.error(message, { ...always, ...fields }),
    with: (fields) => over(logger, { ...always, ...fields }),
  };
}
