import { styleText } from 'node:util';
import { printable } from '../format.ts';
import { AwsFailure } from './aws.ts';
import { CannotTell, type Check, type Ground, type Section } from './check.ts';

interface Run {
  readonly ground: Ground;
  readonly undoAll: () => Promise<string[]>;
  readonly disturb: boolean;
  /** No check begins after it. */
  readonly signal: AbortSignal;
  readonly print: (line: string) => void;
}

type Verdict = { readonly is: 'pass' | 'FAIL' | 'skip'; readonly why: string | undefined };

/** Makes the checks in their order, prints a line for each, and takes away what they left; answers the exit status. */
export async function runChecks(
  sections: readonly Section[],
  { ground, undoAll, disturb, signal, print }: Run,
): Promise<number> {
  const counted = { pass: 0, FAIL: 0, skip: 0 };
  let left: string[] = [];
  try {
    for (const { name, checks } of sections)
      for (const check of checks) {
        const { is, why } = signal.aborted ? INTERRUPTED : await verdictOn(check, ground, disturb);
        counted[is] += 1;
        const more = why === undefined ? '' : `: ${printable(why)}`;
        print(`${coloured(is)}  ${name.padEnd(8)} ${check.line}${more}`);
      }
  } finally {
    left = await undoAll();
    for (const what of left) print(`${coloured('FAIL')}  left     ${printable(what)}`);
  }
  print(`${counted.pass} passed, ${counted.FAIL + left.length} failed, ${counted.skip} skipped`);
  return counted.FAIL + left.length === 0 && !signal.aborted ? 0 : 1;
}

const INTERRUPTED: Verdict = { is: 'skip', why: 'interrupted' };

async function verdictOn(check: Check, ground: Ground, disturb: boolean): Promise<Verdict> {
  if (check.disturbs !== undefined && !disturb)
    return { is: 'skip', why: `it ${check.disturbs}: --disturb allows it` };
  if (check.needsVm && ground.vms.length === 0)
    return { is: 'skip', why: 'it needs a VM that may be imaged: --vm' };
  try {
    return { is: 'pass', why: await check.run(ground) };
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError') return INTERRUPTED;
    const why = error instanceof Error ? error.message : String(error);
    if (error instanceof AwsFailure && /^(AccessDenied|Unauthorized)/.test(error.code))
      return { is: 'skip', why: `your own credentials may not look: ${why}` };
    return { is: error instanceof CannotTell ? 'skip' : 'FAIL', why };
  }
}

const COLOURS = { pass: 'green', FAIL: 'red', skip: 'yellow' } as const;

function coloured(is: Verdict['is']): string {
  return styleText(COLOURS[is], is, { stream: process.stdout });
}
