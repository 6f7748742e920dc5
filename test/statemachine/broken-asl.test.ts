import { expect, it } from 'vitest';
import { unsupportedFeatures } from '../../local/aws/asl-support.ts';
import type { Asl } from '../../local/aws/states/walk.ts';
import { problemsOf } from './asl-checks.ts';
import { handlerFiles, invalidities, readAsl } from './document.ts';

/** The part of the document at a path; a number counts in a list. */
// biome-ignore lint/suspicious/noExplicitAny: a test breaks whatever part it wants
const at = (document: any, ...path: (string | number)[]) => path.reduce((part, key) => part[key], document);

it.each<[string, (document: Asl) => void, string]>([
  ['a task without a Catch', (d) => delete at(d, 'States', 'TakeVm').Catch, 'TakeVm does not catch'],
  [
    'a Catch of one error only',
    (d) => Object.assign(at(d, 'States', 'PollUpload', 'Catch', 0), { ErrorEquals: ['XapiBusy'] }),
    'PollUpload does not catch States.ALL',
  ],
  [
    'a Catch that leads backwards',
    (d) => Object.assign(at(d, 'States', 'RelockVm', 'Catch', 0), { Next: 'TakeVm' }),
    'RelockVm fails backwards',
  ],
  [
    'a Catch that passes over what closes the job',
    (d) => Object.assign(at(d, 'States', 'UnlockVm', 'Catch', 0), { Next: 'DestroySnapshot' }),
    'UnlockVm fails into DestroySnapshot, not CancelUpload',
  ],
  [
    'a Catch that puts its error in place of the whole state',
    (d) => delete at(d, 'States', 'TakeVm', 'Catch', 0).ResultPath,
    'TakeVm notes its failure in undefined',
  ],
  [
    'a task without a timeout',
    (d) => delete at(d, 'States', 'PollSnapshot').TimeoutSeconds,
    'PollSnapshot has no TimeoutSeconds',
  ],
  [
    'a timeout below what the Lambda may take',
    (d) => Object.assign(at(d, 'States', 'AwaitCoalesce'), { TimeoutSeconds: 120 }),
    'AwaitCoalesce has no TimeoutSeconds above',
  ],
  [
    'a callback that waits longer than the machine runs',
    (d) => Object.assign(at(d, 'States', 'QueueForHost'), { TimeoutSeconds: 700_000 }),
    'QueueForHost may take longer',
  ],
  [
    'a state that was renamed',
    (d) => {
      const states = at(d, 'States');
      states.LockVm = states.RelockVm;
      delete states.RelockVm;
    },
    'LockVm has no handler file',
  ],
  [
    'steps in another order',
    (d) => {
      const { TakeVm, ...rest } = at(d, 'States');
      d.States = { ...rest, TakeVm };
    },
    'the Lambda tasks are InspectVm',
  ],
  [
    'a task with the Lambda of another',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's placeholder
    (d) => Object.assign(at(d, 'States', 'StartUpload'), { Resource: '${PollUploadArn}' }),
    'StartUpload calls the Lambda PollUpload',
  ],
  [
    'a result in the wrong place',
    (d) => Object.assign(at(d, 'States', 'InspectVm'), { ResultPath: '$' }),
    'InspectVm writes $, by the contract $.place',
  ],
  [
    'a Retry without a bound',
    (d) => delete at(d, 'States', 'StartUpload', 'Retry', 0).MaxAttempts,
    'StartUpload has a Retry without a bound',
  ],
  [
    'a Retry whose delays grow for ever',
    (d) => delete at(d, 'States', 'StartUpload', 'Retry', 0).MaxDelaySeconds,
    'StartUpload has a Retry whose delay',
  ],
  [
    'a Retry without jitter',
    (d) => delete at(d, 'States', 'StartUpload', 'Retry', 1).JitterStrategy,
    'StartUpload has a Retry without full jitter',
  ],
  [
    'a Retry on an error that nothing throws',
    (d) => at(d, 'States', 'TakeVm', 'Retry', 0, 'ErrorEquals').push('PoolUnreacheable'),
    'TakeVm tries again on PoolUnreacheable',
  ],
  [
    'a step that gives up where Lambda is busy',
    (d) => at(d, 'States', 'RelockVm', 'Retry', 2, 'ErrorEquals').splice(6, 1),
    'RelockVm has no Retry as the contract has it on ServiceUnavailable',
  ],
  [
    'a step that is not tried again when it was broken off',
    (d) => at(d, 'States', 'VerifyImage', 'Retry').pop(),
    'VerifyImage has no Retry as the contract has it on Lambda.Unknown',
  ],
  [
    'a step that one answer of the pool ends',
    (d) => at(d, 'States', 'PollUpload', 'Retry').splice(1, 1),
    'PollUpload is not tried again on XapiFailure, although it reaches pool',
  ],
  [
    'a Retry on everything',
    (d) => at(d, 'States', 'TakeVm', 'Retry', 0, 'ErrorEquals').push('States.ALL'),
    'TakeVm tries again on States.ALL',
  ],
  [
    'a Wait for what another step wrote',
    (d) => Object.assign(at(d, 'States', 'WaitForUpload'), { SecondsPath: '$.take.waitSeconds' }),
    'WaitForUpload reads $.take.waitSeconds, which PollUpload',
  ],
  [
    'a Choice by what another step wrote',
    (d) => Object.assign(at(d, 'States', 'IsCoalesced', 'Choices', 0), { Variable: '$.upload.next' }),
    'IsCoalesced reads $.upload.next, which AwaitCoalesce',
  ],
  [
    'a way that ends without ReleaseHost',
    (d) => Object.assign(at(d, 'States', 'VerifyImage'), { Next: 'JobSucceeded' }),
    'JobSucceeded ends the execution without ReleaseHost',
  ],
  [
    'a state that nothing leads to',
    (d) => Object.assign(at(d, 'States', 'IsUploadDone', 'Choices', 2), { Next: 'StartUpload' }),
    'WaitToUploadAgain is never reached',
  ],
  [
    'a cleanup line with a gap',
    (d) => Object.assign(at(d, 'States', 'CancelUpload'), { Next: 'DestroySnapshot' }),
    'CancelUpload does not go on to DiscardImage',
  ],
  [
    'a state without a comment',
    (d) => delete at(d, 'States', 'JobFailed').Comment,
    'JobFailed has no Comment',
  ],
  [
    'JSONata',
    (d) => Object.assign(d, { QueryLanguage: 'JSONata' }),
    'state machine: QueryLanguage JSONata is ignored',
  ],
  [
    'a heartbeat',
    (d) => Object.assign(at(d, 'States', 'QueueForHost'), { HeartbeatSeconds: 60 }),
    'QueueForHost: HeartbeatSeconds is ignored',
  ],
  [
    'a field that the language does not have',
    (d) => Object.assign(at(d, 'States', 'JobFailed'), { Next: 'TakeVm' }),
    '/States/JobFailed is invalid',
  ],
])('refuses %s', (_what, mutate, problem) => {
  const document = readAsl('snapshot');
  mutate(document);
  const problems = [
    ...problemsOf('snapshot', document, handlerFiles),
    ...unsupportedFeatures(document),
    ...invalidities(document),
  ];
  expect(problems.join('\n')).toContain(problem);
});
