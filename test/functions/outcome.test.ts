import { expect, it } from 'vitest';
import { errorOfCaught, outcomeOf } from '../../functions/outcome.ts';
import { aJob } from './api/a-job.ts';

const broken = { name: 'UploadFailed', message: 'why' };

it('ends as succeeded once it is committed, whatever failed or was wished after', () => {
  expect(outcomeOf(aJob({ committed: true }), broken)).toEqual({ status: 'succeeded' });
  expect(outcomeOf(aJob({ committed: true, cancelRequested: true }), broken)).toEqual({
    status: 'succeeded',
  });
});

it('ends as cancelled when its caller wished that, whatever it failed of then', () => {
  expect(outcomeOf(aJob({ cancelRequested: true }), broken)).toEqual({
    status: 'cancelled',
    error: { name: 'JobCancelled', message: 'The job was cancelled.' },
  });
});

it.each([
  ['VmBusy', 'skipped'],
  ['JobCancelled', 'cancelled'],
  ['ImageDeleted', 'cancelled'],
  ['UploadFailed', 'failed'],
  ['States.DataLimitExceeded', 'failed'],
])('ends after %s as %s, with the reason', (name, status) => {
  const error = { name, message: 'why' };
  expect(outcomeOf(aJob(), error)).toEqual({ status, error });
});

it.each([
  [
    "a Lambda's error",
    {
      Error: 'StorageFull',
      Cause: '{"errorType":"StorageFull","errorMessage":"The SR is full.","trace":[]}',
    },
    { name: 'StorageFull', message: 'The SR is full.' },
  ],
  [
    'a cause that is text',
    { Error: 'Sqs.SqsException', Cause: 'no such queue' },
    { name: 'ServiceUnavailable', message: 'no such queue (Sqs.SqsException)' },
  ],
  [
    'JSON of another shape',
    { Error: 'UploadFailed', Cause: '{"message":1}' },
    { name: 'UploadFailed', message: '{"message":1}' },
  ],
  ['JSON that is null', { Error: 'UploadFailed', Cause: 'null' }, { name: 'UploadFailed', message: 'null' }],
  [
    'a name that nobody documents',
    { Error: 'TypeError', Cause: '{"errorMessage":"x is not a function"}' },
    { name: 'Internal', message: 'x is not a function (TypeError)' },
  ],
  [
    "a Lambda's own timeout",
    { Error: 'Sandbox.Timedout', Cause: '{"errorMessage":"Task timed out after 60.00 seconds"}' },
    { name: 'TimedOut', message: 'A step, or the wait for a slot, took longer than it may.' },
  ],
  [
    "a state's timeout",
    { Error: 'States.Timeout', Cause: '' },
    { name: 'TimedOut', message: 'A step, or the wait for a slot, took longer than it may.' },
  ],
  ['nothing', undefined, { name: 'Internal', message: 'The job ended without a reason.' }],
])('reads what a Catch wrote: %s', (_what, caught, error) => {
  expect(errorOfCaught(caught)).toEqual(error);
});
