import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import type { Caught, JobInput, QueueMessage, StepResults } from '../../statemachine/contract.ts';

/** Longer chains the VHD tools refuse. */
const MOST_PARENTS = 30;
/** AWS keeps no more of an error's text than this. */
const CAUSE_CHARACTERS = 32_768;
const TOKEN_CHARACTERS = 2048;
const LONGEST_NAME = 60;

const failure: Caught = {
  Error: 'x'.repeat(256),
  // What Lambda makes of an error: the message, which names one VM and perhaps its candidates, and the stack.
  Cause: JSON.stringify({
    errorType: 'x'.repeat(60),
    errorMessage: 'x'.repeat(8000),
    trace: Array(20).fill('x'.repeat(200)),
  }),
};
const group = `${'p'.repeat(LONGEST_NAME)}/${randomUUID()}`;

/** An execution's state with everything in it that there can be. */
const largest: JobInput & StepResults & { failure: Caught; rotationFailure: Caught; cleanupFailure: Caught } =
  {
    jobId: randomUUID(),
    take: { taken: false, waitSeconds: 86_400 },
    place: { group, ticket: randomUUID(), confirmed: false },
    snapshot: { next: 'again', waitSeconds: 86_400 },
    coalesce: {
      settled: false,
      waitSeconds: 86_400,
      chain: Array.from({ length: MOST_PARENTS }, () => randomUUID()),
      mergeable: false,
      since: new Date().toISOString(),
      scannedAt: new Date().toISOString(),
      scanFailed: false,
    },
    upload: { next: 'again', waitSeconds: 86_400 },
    download: { next: 'again', waitSeconds: 86_400 },
    swap: { next: 'wait', waitSeconds: 86_400 },
    made: { test: false },
    test: { next: 'wait', waitSeconds: 86_400 },
    verified: { backup: true },
    outcome: { status: 'cancelled' },
    failure,
    rotationFailure: failure,
    cleanupFailure: failure,
  };
const KB = 1024;

it('keeps the largest state of an execution below 64 KB, and without errors below 2 KB', () => {
  const { failure: _failure, rotationFailure: _rotation, cleanupFailure: _cleanup, ...plain } = largest;
  console.log(`largest state: ${bytes(largest)} bytes, ${bytes(plain)} without errors`);
  expect(bytes(plain)).toBeLessThan(2 * KB);
  expect(bytes(largest)).toBeLessThan(64 * KB);
});

it('stays below AWS’s 256 KB although all errors are as long as AWS lets them be', () => {
  const Cause = 'x'.repeat(CAUSE_CHARACTERS);
  const longest = { ...failure, Cause };
  expect(
    bytes({ ...largest, failure: longest, rotationFailure: longest, cleanupFailure: longest }),
  ).toBeLessThan(256 * KB);
});

it('sends a queue message that is charged as one', () => {
  const message: QueueMessage = {
    jobId: randomUUID(),
    ticket: randomUUID(),
    group,
    taskToken: 't'.repeat(TOKEN_CHARACTERS),
  };
  expect(bytes(message)).toBeLessThan(64 * KB);
});

function bytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
