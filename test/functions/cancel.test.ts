import { expect, it, vi } from 'vitest';
import { stopCancelled, UNSTOPPED } from '../../functions/cancel.ts';
import { XensnapError } from '../../functions/errors.ts';
import { admissionsOfFile } from './queue/an-admission.ts';

const admissions = admissionsOfFile();

it('stops each cancelled execution that could not be stopped before, whatever became of the others', async () => {
  const { runtime } = admissions;
  const { counters } = runtime.store;
  for (const id of ['a', 'b', 'restore/c']) await counters.take(UNSTOPPED, id, 10);
  const stop = vi.spyOn(runtime.executions, 'stop').mockImplementation(async ({ id }) => {
    if (id === 'b') throw new XensnapError('ServiceUnavailable', 'planted');
  });
  await expect(stopCancelled(runtime)).rejects.toThrow('planted');
  expect(stop.mock.calls.map(([{ machine, id }]) => `${machine} ${id}`).toSorted()).toEqual([
    'restore c',
    'snapshot a',
    'snapshot b',
  ]);
  expect(await counters.holders(UNSTOPPED)).toEqual(['b']);
  stop.mockReset().mockResolvedValue();
  await stopCancelled(runtime);
  expect(await counters.holders(UNSTOPPED)).toEqual([]);
});
