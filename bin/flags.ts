import type { Command } from 'commander';
import type { ApiRefused } from './failures.ts';

/** Options that have another name than the API's field. */
const OPTION_OF: Readonly<Record<string, string>> = {
  backupType: 'type',
  'backup.keep': 'keep',
  networks: 'network',
};

/**
 * What the API says of fields, said of the options that were typed. Undefined where it speaks of something else, or
 * where the command has no such option.
 */
export function inFlags({ message, refusal }: ApiRefused, command: Command): string | undefined {
  if (refusal.name !== 'BadRequest') return undefined;
  const fields = refusal.fields ?? [fieldOf(message)];
  const said = fields.map(({ field, message }) => {
    const flag = flagOf(field, command);
    return { known: flag !== undefined, text: `${flag ?? field}: ${message}` };
  });
  return said.some(({ known }) => known) ? said.map(({ text }) => text).join('; ') : undefined;
}

/** Refusals of a value begin with its field. */
function fieldOf(message: string): { field: string; message: string } {
  const end = message.indexOf(': ');
  return end < 0 ? { field: '', message } : { field: message.slice(0, end), message: message.slice(end + 2) };
}

function flagOf(field: string, command: Command): string | undefined {
  const path = field.split('.');
  const [first = ''] = path;
  // As in restoreTest.sr, daily.at, selector.tag.
  const names = [OPTION_OF[field], OPTION_OF[first], joined(path), first, path.at(-1)];
  for (const name of names) {
    const option = command.options.find((each) => each.attributeName() === name);
    if (option?.long) return option.long;
  }
  return undefined;
}

function joined([first = '', ...rest]: readonly string[]): string {
  return first + rest.map((each) => each.slice(0, 1).toUpperCase() + each.slice(1)).join('');
}
