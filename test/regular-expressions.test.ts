import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { type Expressions, expressionsIn } from './support/expressions.ts';

// The package's checker in JavaScript, which is the same everywhere; it also has one for each machine.
process.env.RECHECK_SYNC_BACKEND = 'pure';
const { checkSync } = await import('recheck');

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const SHIPPED = /^(bin|cdk|cost|functions|glance|http|local|statemachine|xapi)\//;

/** `linear`, or what the checker says instead, also of what it cannot prove. */
function verdictOn(literal: string): string {
  const end = literal.lastIndexOf('/');
  // Only the automaton proves something; the other checker tries some texts.
  const found = checkSync(literal.slice(1, end), literal.slice(end + 1), {
    checker: 'automaton',
    timeout: 120_000,
  });
  if (found.status === 'safe') return 'linear';
  return found.status === 'vulnerable'
    ? found.complexity.summary
    : `not proved: ${JSON.stringify(found.error)}`;
}

const found = expressionsIn(root, (file) => SHIPPED.test(file));

it('has no expression in what is shipped that could take more than linear time', () => {
  const where = new Map<string, string[]>();
  for (const { file, literals } of found)
    for (const literal of literals) where.set(literal, [...(where.get(literal) ?? []), file]);
  // The number that there are: fewer would mean that some were not found.
  expect(found.length).toBeGreaterThan(400);
  expect(where.size).toBeGreaterThan(130);
  const wrong = [...where].flatMap(([literal, files]) => {
    const verdict = verdictOn(literal);
    return verdict === 'linear' ? [] : [`${files}: ${literal} is ${verdict}`];
  });
  expect(wrong).toEqual([]);
}, 600_000);

it('makes no expression of a text, which could come from anywhere', () => {
  expect(found.flatMap(({ file, made }) => made.map((code) => `${file}: ${code}`))).toEqual([]);
});

it.each([
  ['/^(a+)+$/', 'exponential'],
  ['/^(a|a)*$/', 'exponential'],
  ['/\\/+$/', '2nd degree polynomial'],
  ['/<[^>]*>/g', '2nd degree polynomial'],
  ['/^\\s*a*\\s*$/', '2nd degree polynomial'],
  ['/^a*a*a*$/', '3rd degree polynomial'],
  ['/<(a|b)>.*?<\\/\\1>/s', expect.stringContaining('not proved')],
  ['/^[^<]*<b>$/', 'linear'],
  ['/\\$\\{(\\w+)\\}/g', 'linear'],
])('would find %s to be %s', (literal, verdict) => {
  expect(verdictOn(literal)).toEqual(verdict);
});

it('finds an expression wherever it stands, and whatever else makes one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-expressions-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'tsconfig.json'), '{"include":["*.ts"]}');
  await writeFile(
    join(folder, 'a.ts'),
    `const half = 4 / 2 / 1; // no /comment/
    const text = "no /text/";
    const inTemplate = \`\${text.replace(/a\\/b/g, '')} no /template/\`;
    const inClass = /[/]+/u;
    const fine = (of: RegExp) => text.match(inClass) ?? text.search(/c/) ?? of;
    const made = new RegExp(text);
    const called = RegExp(text, 'g');
    const Alias = globalThis.RegExp;
    const matched = text.match(text), all = [...text.matchAll('a' + text)];`,
  );
  const [read] = expressionsIn(folder, () => true) as [Expressions];
  expect(read.literals).toEqual(['/a\\/b/g', '/[/]+/u', '/c/']);
  expect(read.made).toEqual([
    'new RegExp(text)',
    "RegExp(text, 'g')",
    'globalThis.RegExp',
    'text.match(text)',
    "text.matchAll('a' + text)",
  ]);
});
