import { styleText } from 'node:util';
import type { Command } from 'commander';
import { CommandFailure } from '../failures.ts';
import { printable } from '../format.ts';
import { type ApiOptions, apiCommand, show } from '../options.ts';

interface DoctorReport {
  readonly status: 'ok' | 'warning' | 'failed';
  readonly checks: readonly {
    readonly area: string;
    readonly what: string;
    readonly status: DoctorReport['status'];
    readonly found: string;
    readonly advice: string | null;
  }[];
}

const COLOURS = { ok: 'green', warning: 'yellow', failed: 'red' } as const;

export function doctorCommand(): Command {
  return apiCommand('doctor', 'Look at all that a snapshot needs, and say what to do about what is wrong', [
    'doctor',
    'doctor --json',
  ]).action(async (options: ApiOptions) => {
    const { checks } = await show(options, (client) => client.get<DoctorReport>('/doctor'), readable);
    const failed = checks.filter(({ status }) => status === 'failed').length;
    if (failed > 0) throw new CommandFailure(`${failed} of ${checks.length} checks failed`);
  });
}

/** Under each area a line for each check, and what to do under that. */
function readable({ checks }: DoctorReport): string {
  const lines: string[] = [];
  for (const [area, ofArea] of Map.groupBy(checks, (each) => each.area)) {
    lines.push(printable(area));
    for (const { what, status, found, advice } of ofArea) {
      const mark = styleText(COLOURS[status], status.padEnd(7), { stream: process.stdout });
      lines.push(`  ${mark}  ${printable(what)}: ${printable(found)}`);
      if (advice !== null) lines.push(`           -> ${printable(advice)}`);
    }
  }
  return lines.join('\n');
}
