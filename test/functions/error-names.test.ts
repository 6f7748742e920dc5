import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { PROBLEM_STATUS } from '../../functions/api/problem.ts';

it('has a row in the README for the name of each error', async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const [, section = ''] = readme.split('## When something goes wrong\n');
  const rows = section.split('\n## ')[0]?.split('\n') ?? [];
  const names = new Set(
    rows.flatMap((row) => (row.split('|')[1] ?? '').split('`').filter((_, at) => at % 2 === 1)),
  );
  expect(Object.keys(PROBLEM_STATUS).filter((name) => !names.has(name))).toEqual([]);
});
