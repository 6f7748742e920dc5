import { ServiceError } from '../json-service.ts';
import { PAYLOAD_LIMIT_BYTES } from './failures.ts';

/**
 * The name of a new execution: the one asked for, or a UUID.
 * @throws ServiceError InvalidName
 */
export function executionName(name: unknown): string {
  if (name === undefined) return crypto.randomUUID();
  // Step Functions' rule: no white space, no brackets, no wildcards, none of "#%\^|~`$&,;:/, no control characters.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  const forbidden = /[\s<>{}[\]?*"#%\\^|~`$&,;:/\u0000-\u001f\u007f-\u009f]/;
  if (typeof name !== 'string' || name === '' || name.length > 80 || forbidden.test(name))
    throw new ServiceError('InvalidName', `Invalid Name: '${String(name)}'`);
  return name;
}

/**
 * The value of a JSON text.
 * @throws ServiceError ValidationException when it is too long for a payload, else one of the given type
 */
export function checkJson(json: string, type: string, message: string): unknown {
  if (Buffer.byteLength(json) > PAYLOAD_LIMIT_BYTES)
    throw new ServiceError(
      'ValidationException',
      `${message}: Member must have length less than or equal to ${PAYLOAD_LIMIT_BYTES}`,
    );
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new ServiceError(type, `${message}: '${String(cause)}'`);
  }
}

/** A string of a request that may be missing. */
export function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
