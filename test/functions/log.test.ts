import { expect, it } from 'vitest';
import { jsonLog } from '../../functions/log.ts';

it('writes one JSON object a line, with the fields that always go along', () => {
  const lines: string[] = [];
  const log = jsonLog((line) => lines.push(line));
  log.with({ jobId: 'j', step: 'TakeVm' }).with({ step: 'UnlockVm' }).warn('two\nlines', { reason: 'why' });
  log.info('plain');
  log.error('bad');
  expect(lines.every((line) => !line.includes('\n'))).toBe(true);
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { level: 'WARN', message: 'two\nlines', jobId: 'j', step: 'UnlockVm', reason: 'why' },
    { level: 'INFO', message: 'plain' },
    { level: 'ERROR', message: 'bad' },
  ]);
  expect(JSON.parse(lines[1] ?? '')).not.toHaveProperty('jobId');
});
