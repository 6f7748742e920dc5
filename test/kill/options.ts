import { randomInt } from 'node:crypto';
import { Command, InvalidArgumentError } from 'commander';

/** Reads a number of at least `least`. */
export const atLeast =
  (least: number, whole = true) =>
  (text: string): number => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (Number.isFinite(value) && value >= least && (!whole || Number.isInteger(value))) return value;
    throw new InvalidArgumentError(`It must be a ${whole ? 'whole ' : ''}number of at least ${least}.`);
  };

const SEEDS = 2 ** 31;

/** A program that runs by chance: the same seed makes the same choices again. */
export function seeded(script: string, description: string): Command {
  return new Command(`npm run ${script} --`)
    .description(description)
    .option('--seed <n>', 'makes the same choices again', atLeast(0), randomInt(SEEDS))
    .allowExcessArguments(false);
}
