import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RETRY_OF_AWS, RETRY_OF_BROKEN_OFF } from '../../statemachine/retries.ts';
import { startLambda } from './lambda.ts';

/** A handler that ends as it is told. */
const CODE = `export const handler = async ({ how }) => {
  if (how === 'named') throw Object.assign(new Error('why'), { name: 'StillOwed' });
  if (how === 'class') { class PoolUnreachable extends Error {} throw new PoolUnreachable('why'); }
  if (how === 'text') throw 'a text';
  if (how === 'nothing') return undefined;
  if (how === 'exit') process.exit(3);
  if (how === 'kill') process.kill(process.pid, 'SIGKILL');
  if (how === 'stray') { Promise.reject(new Error('nobody listens')); await new Promise(() => {}); }
  if (how === 'later') { setImmediate(() => { throw new Error('outside'); }); await new Promise(() => {}); }
  if (how === 'fill') for (const kept = []; ; ) kept.push(new Array(1e6).fill(kept.length));
  if (how === 'sleep') await new Promise((resolve) => setTimeout(resolve, 60_000));
  return how;
};
`;
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xensnap-ric-'));
  await writeFile(join(folder, 'index.mjs'), CODE);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function outcomeOf(how: string) {
  const flags = ['--max-old-space-size=64'];
  const lambda = await startLambda(folder, { seconds: how === 'sleep' ? 3 : 60, environment: {}, flags });
  try {
    return await lambda.invoke({ how });
  } finally {
    await lambda.close();
  }
}

it.each([
  ['named', { error: 'StillOwed', message: 'why' }],
  // Its name is Error's, whatever its class is called: ours have a name of their own.
  ['class', { error: 'Error', message: 'why' }],
  ['text', { error: 'string', message: 'a text' }],
  ['nothing', { answer: null }],
  ['anything else', { answer: 'anything else' }],
])('tells how a handler ends: %s', async (how, outcome) => {
  expect(await outcomeOf(how)).toEqual(outcome);
});

it.each([
  ['exit', 'exit status 3'],
  ['kill', 'SIGKILL'],
  ['stray', 'exit status 1'],
  ['later', 'exit status 1'],
  ['fill', 'SIGABRT'],
])(
  'says nothing where the process ends, so that Lambda says Runtime.ExitError, which is tried again: %s',
  async (how, message) => {
    const outcome = await outcomeOf(how);
    expect(outcome).toMatchObject({ error: 'Runtime.ExitError', message: expect.stringContaining(message) });
    expect([...RETRY_OF_AWS.ErrorEquals, ...RETRY_OF_BROKEN_OFF.ErrorEquals]).toContain(outcome.error);
  },
);

it('says nothing at the end of its time either', async () => {
  const { error } = await outcomeOf('sleep');
  expect(RETRY_OF_BROKEN_OFF.ErrorEquals).toContain(error);
});
