import { readFileSync } from 'node:fs';
import { ConfigurationError } from './config.ts';

/** The settings in the context: themselves, or the path of a JSON file that holds them. Throws a ConfigurationError. */
export function settingsIn(context: unknown): unknown {
  if (typeof context !== 'string') return context;
  try {
    return JSON.parse(readFileSync(context, 'utf8'));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigurationError(`The settings in "${context}" cannot be read: ${why}`, { cause });
  }
}
