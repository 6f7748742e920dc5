import { readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Synthesized } from './synth.ts';

/** A function of the stack with its bundle, as it would be uploaded. */
export interface Bundled {
  /** Its name in the stack: the step's, or such as `Admit`. */
  readonly name: string;
  readonly file: string;
  /** The size of the code alone, without its source map. */
  readonly codeBytes: number;
  readonly files: readonly string[];
}

/** The functions whose code is ours. */
export function bundledFunctions(stack: Synthesized): readonly Bundled[] {
  return Object.entries(stack.all('AWS::Lambda::Function'))
    .filter(([, { Properties }]) => Properties.Handler === 'index.handler' && Properties.Architectures)
    .map(([name, { Metadata }]) => {
      const folder = join(stack.folder, Metadata?.['aws:asset:path'] ?? 'no asset');
      const file = join(folder, 'index.mjs');
      return {
        name,
        file,
        codeBytes: statSync(file).size,
        files: readdirSync(folder),
      };
    });
}

const require = createRequire(import.meta.url);

/** A handler out of its bundle; vitest's own import would transform it. */
export function load({ file }: Bundled): (event: unknown, context: unknown) => Promise<unknown> {
  return require(file).handler;
}
