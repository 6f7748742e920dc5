import { execFileSync } from 'node:child_process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { bundledFunctions } from '../test/cdk/assembly.ts';
import { EXAMPLE } from '../test/cdk/settings.ts';
import { synthesize } from '../test/cdk/synth.ts';

// How long a cold start loads each function's bundle; of two, beside their sources, in turn, for a machine may be slow
// for a while. npm run bench:bundles

/** The best of so many tells what loading costs where other work makes any single one slow. */
const TRIES = 5;

/** Milliseconds that a fresh process takes to import a file. */
function loadingOf(file: string): number {
  const script = `const t=performance.now();await import(${JSON.stringify(pathToFileURL(file).href)});console.log(performance.now()-t)`;
  return Number(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }));
}

const best = (files: readonly string[]) => {
  const tries = Array.from({ length: TRIES }, () => files.map(loadingOf));
  return files.map((_, index) => Math.min(...tries.map((times) => times[index] ?? Number.POSITIVE_INFINITY)));
};

const stack = synthesize(EXAMPLE, { bundles: true });
try {
  const functions = bundledFunctions(stack);
  for (const { name, file, codeBytes } of functions)
    console.log(
      `${name.padEnd(16)} ${(codeBytes / 1e6).toFixed(2)} MB ${loadingOf(file).toFixed(0).padStart(5)} ms`,
    );
  for (const [name, source] of Object.entries({ Api: 'api/handler', TakeVm: 'steps/TakeVm' })) {
    const sources = fileURLToPath(new URL(`../functions/${source}.ts`, import.meta.url));
    const bundle = functions.find((each) => each.name === name)?.file ?? '';
    const [bundled = 0, unbundled = 0] = best([bundle, sources]);
    console.log(`${name}: ${(bundled / unbundled).toFixed(2)} of the time that its sources take`);
  }
} finally {
  stack.remove();
}
