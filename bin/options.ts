import { Command, InvalidArgumentError } from 'commander';
import { parseFingerprint } from '../http/trust.ts';
import { authOptions } from './auth/authentication.ts';
import { type ApiClient, type ClientOptions, createClient } from './client.ts';

/** What every command that speaks to the API takes. */
export interface ApiOptions extends ClientOptions {
  readonly json?: boolean;
}

/** A command that speaks to the API, with its options and with examples under its help. */
export function apiCommand(name: string, description: string, examples: readonly string[]): Command {
  const command = new Command(name)
    .description(description)
    .option('--api <url>', "the API's address (default: XENSNAP_API, else http://127.0.0.1:8700)")
    .option('--json', 'print one JSON document, for scripts')
    .addHelpText('after', examplesText(examples));
  for (const option of authOptions()) command.addOption(option);
  return command;
}

/** The examples under a command's help. */
export function examplesText(examples: readonly string[]): string {
  return `\nExamples:\n${examples.map((example) => `  $ xensnap ${example}`).join('\n')}`;
}

/** Runs `use` with the API; prints what it gives as JSON, or as `text` makes it for people. */
export async function show<T>(
  options: ApiOptions,
  use: (client: ApiClient) => Promise<T>,
  text: (answer: T) => string,
): Promise<T> {
  const answer = await use(createClient(options));
  print(options.json ? JSON.stringify(answer, null, 2) : text(answer));
  return answer;
}

let printed = false;

export function print(text: string): void {
  printed = true;
  process.stdout.write(`${text}\n`);
}

/** Whether the command has answered already, whatever it says of it then. */
export function hasPrinted(): boolean {
  return printed;
}

/** Reads an option that is a whole number. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

/** Reads an option that is a number above 0. */
export function positiveNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('It must be a number above 0.');
}

/** Reads a repeated `key=value` option. */
export function keyValue(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It must be key=value.');
  const key = text.slice(0, at);
  if (Object.hasOwn(before, key)) throw new InvalidArgumentError(`${JSON.stringify(key)} is said twice.`);
  return { ...before, [key]: text.slice(at + 1) };
}

/** Reads an option that is the URL of a service. */
export function httpUrl(text: string): string {
  if (/^https?:$/.test(URL.parse(text)?.protocol ?? '')) return text;
  throw new InvalidArgumentError('It must be an http(s) URL.');
}

/**
 * Reads an option that is one pool: the URLs of its members, with commas between them. Over http the password is in
 * the clear, so that a member of an https pool is not to be reached that way.
 */
export function poolMembers(text: string, before?: readonly string[]): readonly string[] {
  if (before) throw new InvalidArgumentError('It names one pool: give its members at once, as in URL,URL.');
  const members = text.split(',').map((member) => httpUrl(member.trim()));
  const schemes = new Set(members.map((member) => new URL(member).protocol));
  if (schemes.size > 1) throw new InvalidArgumentError('Its members must be all https or all http.');
  return members;
}

/** Reads an option that is the SHA-256 fingerprint of a certificate. */
export function fingerprint(text: string): string {
  try {
    return parseFingerprint(text);
  } catch {
    throw new InvalidArgumentError(
      'It must be a SHA-256 fingerprint: 64 hex digits, with or without colons.',
    );
  }
}
