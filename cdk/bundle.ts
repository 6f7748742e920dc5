import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AssetHashType, DockerImage } from 'aws-cdk-lib';
import { Code } from 'aws-cdk-lib/aws-lambda';
import { buildSync } from 'esbuild';

const FUNCTIONS = fileURLToPath(new URL('../functions/', import.meta.url));
const { resolve } = createRequire(import.meta.url);
const UNDICI = dirname(resolve('undici/package.json'));
const ZOD = dirname(resolve('zod/package.json'));

/** A function's files: `index.mjs` and its source map. */
type Bundle = Readonly<Record<string, Uint8Array>>;

const made = new Map<string, Bundle>();

/**
 * Bundles the entries (paths in functions/ without `.ts`) that are not bundled yet. All in one run: they share most
 * of their files, which are then read once.
 */
export function bundle(entries: readonly string[]): void {
  const missing = entries.filter((entry) => !made.has(entry));
  if (missing.length === 0) return;
  const { outputFiles } = buildSync({
    absWorkingDir: FUNCTIONS,
    entryPoints: Object.fromEntries(missing.map((entry) => [`${entry}/index`, `${entry}.ts`])),
    outdir: 'out',
    outExtension: { '.js': '.mjs' },
    write: false,
    bundle: true,
    minify: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    mainFields: ['module', 'main'],
    // CommonJS packages call it for Node's own modules.
    banner: { js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);" },
    sourcemap: true,
    // The lines are enough; with the sources the maps would be three times as big as the code.
    sourcesContent: false,
    // The parts that are used, which load faster: of undici without fetch, caches, WebSockets and mocks, of zod
    // without its messages in 60 languages.
    alias: {
      undici: fileURLToPath(new URL('undici.cjs', import.meta.url)),
      'undici-lib': join(UNDICI, 'lib'),
      zod: fileURLToPath(new URL('zod.mjs', import.meta.url)),
      'zod-lib': ZOD,
    },
    legalComments: 'none',
    logLevel: 'warning',
  });
  for (const entry of missing) {
    const folder = join(FUNCTIONS, 'out', entry);
    const files = outputFiles.filter(({ path }) => dirname(path) === folder);
    made.set(entry, Object.fromEntries(files.map(({ path, contents }) => [basename(path), contents])));
  }
}

/** An entry's bundle with further files beside it, as a Lambda's code. Bundled only where the app is synthesised. */
export function bundledCode(entry: string, beside: Readonly<Record<string, string>>): Code {
  return Code.fromAsset(FUNCTIONS, {
    assetHashType: AssetHashType.OUTPUT,
    bundling: {
      image: DockerImage.fromRegistry('never-used'),
      // Never run: it tells this asset from the others, which have the same source.
      command: [entry, JSON.stringify(beside)],
      local: {
        tryBundle(folder) {
          bundle([entry]);
          for (const [name, contents] of Object.entries({ ...made.get(entry), ...beside }))
            writeFileSync(join(folder, name), contents);
          return true;
        },
      },
    },
  });
}
