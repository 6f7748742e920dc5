import { readFile } from 'node:fs/promises';
import { matchesGlob } from 'node:path';
import { expect, it, vi } from 'vitest';
import { MACHINES } from '../../statemachine/contract.ts';
import { CATALOGUE } from './cells/catalogue.ts';
import { EVENTS, kindOf } from './cells/cell.ts';
import { enumerate } from './cells/enumerate.ts';
import { record } from './cells/record.ts';
import { shuffled } from './cells/shuffled.ts';
import { documentOf } from './document.ts';

vi.setConfig({ testTimeout: 180_000 });

it('has at least 1,000 cells, of every state of both machines and of every kind of trouble', async () => {
  const cells = enumerate(await record());
  expect(cells.length).toBeGreaterThanOrEqual(1000);
  expect(new Set(cells.map(({ id }) => id)).size).toBe(cells.length);
  const states = new Set<string>(cells.map(({ state }) => state));
  const passed = Object.values(MACHINES).flatMap(({ forward, cleanup }) => [...forward, ...cleanup]);
  for (const state of [...passed, 'request', 'admission', 'reconcile', 'janitor', 'plugin'])
    expect(states, state).toContain(state);
  const kinds = new Set(cells.map(kindOf));
  for (const event of EVENTS) expect(kinds).toContain(event);
  for (const target of ['xapi', 'glance', 'keystone', 'dynamodb'] as const)
    for (const trouble of Object.keys(CATALOGUE[target]))
      expect(kinds, `${target}: ${trouble}`).toContain(`${target}: ${trouble}`);
  const ids = cells.map(({ id }) => id);
  const named = await cellsInArchitecture();
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((pattern) => !ids.some((id) => fits(id, pattern)))).toEqual([]);
});

/** The patterns by which ARCHITECTURE's table of failures names the cells that prove a row. */
async function cellsInArchitecture(): Promise<string[]> {
  const text = await readFile(new URL('../../ARCHITECTURE.md', import.meta.url), 'utf8');
  const rows = text.split('\n').filter((line) => line.includes(', cells `'));
  return rows.flatMap((row) =>
    [...(row.split(', cells ')[1]?.matchAll(/`([^`]+)`/g) ?? [])].map(([, id = '']) => id),
  );
}

/** `*` stands for anything, slashes too. */
function fits(id: string, pattern: string): boolean {
  const flat = (text: string) => text.replaceAll('/', '|');
  return matchesGlob(flat(id), flat(pattern));
}

it('has a new call in cells of its own without being told of it', () => {
  const place = { run: 'plain', to: 'xapi', name: 'VM.new_method', state: 'UnlockVm', nth: 1 } as const;
  const call = { ...place, isOnHandle: true, isUndoing: false };
  const ids = enumerate([call]).map(({ id }) => id);
  expect(ids).toEqual(
    expect.arrayContaining([
      'UnlockVm/xapi/VM.new_method#1/INTERNAL_ERROR',
      'UnlockVm/xapi/VM.new_method#1/lost-reply',
      'UnlockVm/xapi/VM.new_method#1/killed',
    ]),
  );
});

it('has another order for another seed, and the same for the same', () => {
  const items = Array.from({ length: 50 }, (_, index) => ({ id: String(index) }));
  expect(shuffled(items, 'a')).toEqual(shuffled(items, 'a'));
  expect(shuffled(items, 'a')).not.toEqual(shuffled(items, 'b'));
  expect(shuffled(items, 'a').toSorted((a, b) => Number(a.id) - Number(b.id))).toEqual(items);
});

it('says in its document what is red, what was not come to, and where', () => {
  const cell = { run: 'plain', state: 'UnlockVm', to: 'xapi', name: 'VM.get_record', nth: 1 } as const;
  const cells = ['reset', 'never', 'late'].map((fault) => ({ ...cell, fault, id: `UnlockVm/${fault}` }));
  const verdict = { outcome: 'succeeded', seconds: 1, logs: [] };
  const text = documentOf(
    {
      ...{ cells, commit: 'abc', seed: 's', seconds: 60 },
      verdicts: [
        { ...verdict, id: 'UnlockVm/reset', fired: true, wrong: [] },
        { ...verdict, id: 'UnlockVm/never', fired: true, wrong: ['leases: more: "x"'] },
        { ...verdict, id: 'UnlockVm/late', fired: false, wrong: [] },
      ],
    },
    '## What was found\n',
  );
  expect(text).toContain('3 cells, 1 green, 1 red');
  expect(text).toContain('1 were not come to');
  expect(text).toContain('- `UnlockVm/never`: leases: more: "x"');
  expect(text).toMatch(/\| UnlockVm \| 1 \| \*\*0\/1\*\* \| 1 \|/);
  expect(text).toContain('## What was found');
});
