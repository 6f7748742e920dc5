import { styleText } from 'node:util';
import type { Command } from 'commander';
import type { DiagnosisView } from '../../functions/api/doctor-view.ts';
import { CommandFailure } from '../failures.ts';
import { printable } from '../format.ts';
import { type ApiOptions, apiCommand, show } from '../options.ts';

const COLOURS = { ok: 'green', warning: 'yellow', failed: 'red' } as const;

export function doctorCommand(): Command {
  return apiCommand('doctor', 'Look at all that a snapshot needs, and say what to do about what is wrong', [
    'doctor',
    'doctor --json',
  ]).action(async (options: ApiOptions) => {
    const { checks } = await show(options, (client) => client.get<DiagnosisView>('/doctor'), readable);
    const failed = checks.filter(({ status }) => status === 'failed').length;
    if (failed > 0) throw new CommandFailure(`${failed} of ${checks.length} checks failed`);
  });
}

/** Under each area a line for each check, and what to do under that. */
function readable({ checks }: DiagnosisView): string {
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
