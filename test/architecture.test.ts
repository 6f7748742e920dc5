import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished, vi } from 'vitest';
import * as states from '../functions/api/compute/states.ts';
import * as checks from '../functions/doctor/check.ts';
import * as findings from '../functions/janitor/finding.ts';
import * as rotation from '../functions/rotation.ts';
import * as runs from '../functions/schedules/run.ts';
import * as words from '../functions/words.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Files under version control or about to be; what is deleted but not yet committed is left out. */
const files = execFileSync(
  'git',
  ['-c', 'safe.directory=*', 'ls-files', '--cached', '--others', '--exclude-standard'],
  {
    cwd: root,
    encoding: 'utf8',
  },
)
  .split('\n')
  .filter((file) => file !== '' && existsSync(join(root, file)));

const read = (file: string) => readFileSync(join(root, file), 'utf8');

/** One import: of a file of ours, or of a package. */
interface Import {
  readonly file: string;
  readonly of: string;
  readonly typeOnly: boolean;
}

/** `import … from`, `export … from`, `import '…'` and `import('…')`; comments do not count. */
function importsOf(file: string): Import[] {
  const code = read(file)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '');
  const found = code.matchAll(
    /\b(?:(import|export)(\s+type)?\s(?:[^'";=]*?\sfrom\s*)?|import\s*\(\s*)'([^']+)'/g,
  );
  return [...found].map(([, , type, of = '']) => ({
    file,
    of: of.startsWith('.') ? relative(root, resolve(root, dirname(file), of)) : of,
    typeOnly: type !== undefined,
  }));
}

const sources = files.filter((file) => /\.ts$/.test(file));
const imports = sources.flatMap(importsOf);
const folderOf = (file: string) => file.split('/')[0] ?? '';
const isOurs = ({ of }: Import) => existsSync(join(root, of));
const line = ({ file, of }: Import) => `${file} imports ${of}`;

it('reads imports of every form', () => {
  const of = (file: string) => importsOf(file).map((each) => each.of);
  expect(of('functions/queue/depth.ts')).toEqual(['@aws-sdk/client-sqs']);
  expect(of('functions/store/table.ts')).toContain('@aws-sdk/lib-dynamodb');
  expect(imports.some(({ of }) => of === 'statemachine/snapshot.asl.json')).toBe(true);
  expect(imports.some(({ file, of }) => file.startsWith('bin/') && of === 'local/service.ts')).toBe(true);
  expect(imports.filter(({ of }) => of === '')).toEqual([]);
  expect(imports.length).toBeGreaterThan(900);
});

it('names every import of our own by its whole file name', () => {
  const relativeOnes = imports.filter(({ of }) => sources.some((file) => file === `${of}.ts`));
  expect(relativeOnes.map(line)).toEqual([]);
});

it('is written in the TypeScript that Node itself runs, of which compiler, bundler and tests take more', () => {
  vi.spyOn(process, 'emitWarning').mockReturnValue(undefined);
  onTestFinished(() => {
    vi.restoreAllMocks();
  });
  const unread = sources.filter((file) => {
    try {
      stripTypeScriptTypes(read(file));
      return false;
    } catch {
      return true;
    }
  });
  expect(unread).toEqual([]);
});

/** From each folder, where its imports of ours may lead beside itself. */
const arrows: Record<string, readonly string[]> = {
  statemachine: [],
  http: [],
  xapi: ['http/'],
  glance: ['http/'],
  functions: ['statemachine/', 'http/trust.ts', 'xapi/', 'glance/', 'package.json'],
  local: ['functions/', 'statemachine/', 'xapi/', 'glance/'],
  cdk: ['statemachine/', 'functions/'],
  cost: ['statemachine/', 'functions/cost/'],
  // Of functions/, the words that are the choices of its options, and the types of what the API answers. Of glance/, what gets tokens from Keystone, and http/, for the command line's own requests.
  bin: [
    'functions/words.ts',
    'local/',
    'cdk/',
    'http/',
    'glance/keystone.ts',
    'glance/errors.ts',
    'glance/plaintext.ts',
    'package.json',
  ],
};

/** The command line takes the types of what the API answers from the API, and nothing that runs. */
const isTypeOfAnswer = ({ file, of, typeOnly }: Import) =>
  folderOf(file) === 'bin' && typeOnly && /^functions\/api\/([a-z]+-)?view\.ts$/.test(of);

it.each(Object.entries(arrows))('lets %s import nothing of ours but itself and %j', (folder, allowed) => {
  const wrong = imports
    .filter(({ file }) => folderOf(file) === folder)
    .filter(isOurs)
    .filter((each) => folderOf(each.of) !== folder && !allowed.some((start) => each.of.startsWith(start)))
    .filter((each) => !isTypeOfAnswer(each));
  expect(wrong.map(line)).toEqual([]);
});

/** From each wing of `local/`, where its imports may lead beside itself. The simulated pool's own folder is its state. */
const wings: Record<string, readonly string[]> = {
  'local/vhd/': [],
  'local/pool/database/': ['local/pool/failure.ts'],
  'local/pool/wire/': ['local/pool/', 'local/vhd/'],
  'local/pool/sm/': ['local/pool/', 'local/vhd/', 'local/clock.ts'],
  'local/pool/classes/': ['local/pool/', 'local/vhd/'],
  'local/pool/build/': ['local/pool/', 'local/vhd/'],
  'local/pool/': ['local/pool/', 'local/clock.ts'],
};

it.each(Object.entries(wings))('lets %s import nothing of ours but itself and %j', (wing, allowed) => {
  const wrong = imports
    .filter(({ file }) => file.startsWith(wing))
    .filter(({ file }) => wing !== 'local/pool/' || file.split('/').length === 3)
    .filter((each) => isOurs(each) && ![wing, ...allowed].some((start) => each.of.startsWith(start)));
  expect(wrong.map(line)).toEqual([]);
});

it('reads the state machine’s document in functions for what a job costs alone', () => {
  const reading = imports.filter(({ of }) => of === 'statemachine/snapshot.asl.json').map(({ file }) => file);
  expect(reading.filter((file) => folderOf(file) === 'functions')).toEqual(['functions/asl.ts']);
});

it('has the contract import nothing at all', () => {
  for (const file of ['statemachine/contract.ts', 'statemachine/retries.ts'])
    expect(importsOf(file)).toEqual([]);
});

it("has the words that everybody shares import nothing but the contract's", () => {
  expect(importsOf('functions/words.ts').map(({ of }) => of)).toEqual(['statemachine/contract.ts']);
});

/** Where lists of words stand that types, schemas and choices are made from. */
const lists: Record<string, object> = {
  'functions/api/compute/states.ts': states,
  'functions/doctor/check.ts': checks,
  'functions/janitor/finding.ts': findings,
  'functions/rotation.ts': rotation,
  'functions/schedules/run.ts': runs,
  'functions/words.ts': words,
};

it('writes each list of words out in one place', () => {
  // Three of its words one after the other, or both of two, are the list.
  const places = new Map<string, string[]>();
  for (const [file, module] of Object.entries(lists))
    for (const list of Object.values(module).filter((value) => Array.isArray(value)))
      for (const at of list.slice(Math.min(2, list.length - 1)).keys())
        for (const between of [', ', ' | ']) {
          const part = list.slice(at, at + 3).map((word) => `'${word}'`);
          places.set(part.join(between), [...(places.get(part.join(between)) ?? []), file]);
        }
  expect(places.size).toBeGreaterThan(50);
  const wrong = sources
    // The plugin has words of its own, some of which are the same.
    .filter((file) => /^(bin|cost|functions)\//.test(file) && file !== 'functions/pool/dom0.ts')
    .flatMap((file) => {
      const text = read(file).replace(/\s+/g, ' ');
      const copied = [...places].filter(([part, of]) => text.includes(part) && !of.includes(file));
      return copied.map(([part]) => `${file}: ${part}`);
    });
  expect(wrong).toEqual([]);
});

it('has an arrow for every folder with sources', () => {
  const known = [...Object.keys(arrows), 'test', 'benchmark'];
  const folders = sources.filter((file) => file.includes('/')).map(folderOf);
  expect([...new Set(folders)].filter((folder) => !known.includes(folder))).toEqual([]);
});

it('has nothing but tests and benchmarks import them', () => {
  const measuring = ['test', 'benchmark'];
  const wrong = imports.filter(
    ({ file, of }) => measuring.includes(folderOf(of)) && !measuring.includes(folderOf(file)),
  );
  expect(wrong.filter(({ file }) => file !== 'vitest.config.ts').map(line)).toEqual([]);
});

it("keeps AWS's SDK to the parts that speak to AWS", () => {
  const allowed =
    /^(local|test|cdk)\/|^bin\/auth\/iam\.ts$|^functions\/(store|queue|api|runtime)\/|^functions\/(store|executions)\.ts$/;
  const wrong = imports.filter(({ file, of }) => /^@(aws-sdk|smithy)\//.test(of) && !allowed.test(file));
  expect(wrong.map(line)).toEqual([]);
});

it('has one place lock and unlock a VM, and one destroy snapshots and disks', () => {
  const ours = sources.filter((file) => /^functions\//.test(file));
  const naming = (words: RegExp) => ours.filter((file) => words.test(read(file)));
  expect(naming(/VM\.set_xenstore_data|allowvssprovider'/)).toEqual(['functions/pool/lock.ts']);
  expect(naming(/'(VM|VDI)\.destroy'/)).toEqual(['functions/pool/destroy.ts']);
});

it('has one place look at certificates, and one hide secrets in texts', () => {
  const ours = sources.filter((file) => /^(bin|functions|glance|http|xapi)\//.test(file));
  const naming = (words: RegExp) => ours.filter((file) => words.test(read(file)));
  const certificates =
    /'node:tls'|\bbuildConnector\b|\bX509Certificate\b|\brejectUnauthorized\b|fingerprint256/;
  expect(naming(certificates)).toEqual(['http/connector.ts', 'http/trust.ts']);
  expect(naming(/\(hidden\)/)).toEqual(['http/hide.ts']);
});

it('keeps what only tests and tools need out of what runs', () => {
  const { dependencies } = JSON.parse(read('package.json'));
  const packageOf = (of: string) => /^(@[^/]+\/)?[^/]+/.exec(of)?.[0] ?? of;
  const running = /^(bin|functions|glance|http|local|statemachine|xapi)\//;
  const wrong = imports
    .filter(({ file, typeOnly }) => running.test(file) && !typeOnly)
    .filter((each) => !isOurs(each) && !each.of.startsWith('node:') && !(packageOf(each.of) in dependencies));
  expect(wrong.map(line)).toEqual([]);
});

/** What of a text fits, each once and in order. */
const found = (text: string, pattern: RegExp) => [...new Set(text.match(pattern) ?? [])].toSorted();

it('has the table of calls hold those that functions/ makes, and no others', () => {
  const table = read('xapi/methods.ts');
  const part = (start: string, end: string) => table.slice(table.indexOf(start)).split(end)[0] ?? '';
  const functions = sources.filter((file) => file.startsWith('functions/')).map(read);
  const made = found(
    functions.join('\n'),
    /(?<=')(Async\.)?(VM|VM_metrics|VM_guest_metrics|VBD|VDI|VIF|VTPM|network|PIF|SR|PBD|host|host_metrics|pool|task|secret)\.\w+(?=')/g,
  );
  const synchronous = made.map((call) => call.replace(/^Async\./, ''));
  expect(found(part('interface Methods {', '\n}'), /(?<=^ {2}')[\w.]+(?=':)/gm)).toEqual(
    [...new Set(synchronous)].toSorted(),
  );
  const asynchronous = made.filter((call) => call.startsWith('Async.'));
  expect(found(part('type AlsoAsync =', ';'), /(?<=')[\w.]+(?=')/g).map((call) => `Async.${call}`)).toEqual(
    asynchronous,
  );
  expect(asynchronous).toContain('Async.VM.snapshot');
});

it('reads whole numbers of a pool, and the references of its records, by their one reader', () => {
  const fields = found(read('xapi/types.ts'), /\w+(?=\??: IntString;)/g);
  expect(fields).toContain('virtual_size');
  const readers = sources
    .filter((file) => file.startsWith('functions/'))
    .flatMap((file) =>
      read(file)
        .split('\n')
        .filter(
          (text) =>
            fields.some((field) => text.includes(field) && !text.includes(`'${field}'`)) &&
            !text.includes('intOf(') &&
            // What is written has gone the other way.
            !/^\s*\w+: String\(/.test(text),
        )
        .map((text) => `${file}: ${text.trim()}`),
    );
  expect(readers).toEqual([]);
  const casts = sources.filter((file) => file.startsWith('functions/') && /as \[Ref</.test(read(file)));
  expect(casts).toEqual([]);
});

/** Where a call's refusal by HANDLE_INVALID or UUID_INVALID is read, and why beside `functions/pool/gone.ts`. */
const readsNoSuch: Record<string, string> = {
  'functions/pool/gone.ts': 'looks again before anything counts as gone',
  'functions/pool/inspect.ts':
    'tells a name from a UUID, and a call that the release knows from one that it does not',
  'functions/janitor/leftovers.ts': 'only skips a host for the round',
  'functions/translate.ts': 'gives the error a name',
};

it('has one place decide that something in a pool is gone', () => {
  const naming = files
    .filter((file) => /^functions\/.*\.ts$/.test(file))
    .filter((file) => /'(HANDLE|UUID)_INVALID'/.test(read(file)));
  expect(naming.filter((file) => !(file in readsNoSuch))).toEqual([]);
});

it('has no circle of imports', () => {
  // Those of types alone count, too: who reads one of the files has to know the other.
  const next = Map.groupBy(imports.filter(isOurs), ({ file }) => file);
  const circles: string[] = [];
  const done = new Set<string>();
  const walk = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' > '));
    if (path.includes(file) || done.has(file)) return;
    for (const { of } of next.get(file) ?? []) walk(of, [...path, file]);
    done.add(file);
  };
  for (const file of sources) walk(file, []);
  expect(circles).toEqual([]);
});

it.each([
  ['slots', 'functions/store/counters.ts', /[`'](host|sr)#/],
  ['jobs', 'functions/store/job-item.ts', /[`']job#/],
])('has one place make the keys of %s', (_, place, key) => {
  // What proves a deployment looks at the table from outside, as an operator does.
  const ours = sources.filter((file) => folderOf(file) !== 'test' && !file.startsWith('bin/prove/'));
  const making = ours.filter((file) => key.test(read(file)));
  expect(making).toEqual([place]);
});

it('has every step be one file with one handler of its own name', () => {
  const steps = readdirSync(join(root, 'functions/steps'));
  for (const file of steps) {
    const name = file.replace(/\.ts$/, '');
    const code = read(`functions/steps/${file}`);
    const made = [...code.matchAll(/^export const handler = step\(\s*'(\w+)'/gm)].map(([, step]) => step);
    expect(made, file).toEqual([name]);
    expect(code, file).not.toMatch(/^export default/m);
  }
});

it('has no barrels, no utils, no default exports of ours', () => {
  const names = sources.filter((file) => /(^|\/)(index|utils?|helpers?|misc|common)\.ts$/.test(file));
  expect(names).toEqual([]);
  const defaults = sources
    .filter((file) => !/\.d\.ts$|\.config\.ts$|^test\/support\/reporter\.ts$/.test(file))
    .filter((file) => /^export default/m.test(read(file)));
  expect(defaults).toEqual([]);
});

it("makes the plugin's one file from its parts", () => {
  const print = 'import join, sys; sys.stdout.write(join.joined(join.read_parts()))';
  const made = execFileSync('python3', ['-B', '-c', print], { cwd: join(root, 'plugin'), encoding: 'utf8' });
  expect(made === read('plugin/glance'), 'run python3 plugin/join.py').toBe(true);
});

it('tells nothing of the machine or the registry that it was made with', () => {
  const lock = read('package-lock.json');
  expect(lock).not.toContain('"resolved"');
  // Written so that this file does not hold what it looks for.
  const marks = [
    // Wherever the checkout lies, a file that names one of its folders by the whole path gives it away.
    ...['functions', 'local', 'node_modules', 'test'].map((folder) => `${root.replace(/\/$/, '')}/${folder}`),
    ['', 'home', ''].join('/'),
    ['', 'Users', ''].join('/'),
    ['registry', 'npmjs'].join('.'),
  ];
  const text = files.filter((file) => !/\.(vhd|gz|png|ico)$/.test(file));
  const wrong = text.flatMap((file) =>
    marks.filter((mark) => mark.length > 4 && read(file).includes(mark)).map((mark) => `${file}: ${mark}`),
  );
  expect(wrong).toEqual([]);
});

it('names no file in its documents that is not there', () => {
  const documents = files.filter((file) => file.endsWith('.md') && file !== 'CHANGELOG.md');
  const named = documents.flatMap((document) =>
    [...read(document).matchAll(/`([\w.-]+(?:\/[\w.-]+)+\.(?:ts|py|json|md|sh))`/g)].map(([, path = '']) => ({
      document,
      path,
    })),
  );
  expect(named.length).toBeGreaterThan(100);
  const missing = named.filter(
    ({ document, path }) =>
      !['', 'test', 'functions', 'bin', dirname(document)].some((folder) =>
        existsSync(join(root, folder, path)),
      ),
  );
  expect(missing).toEqual([]);
});
