/** Errors of ours that another try of the same step may mend; the ASL's Retry names them. */
export const RETRYABLE_ERRORS = [
  'PoolUnreachable',
  'XapiReplyLost',
  'XapiBusy',
  'XapiFailure',
  'PluginFailure',
  'GlanceUnavailable',
  'KeystoneUnavailable',
  'StillOwed',
  'ServiceUnavailable',
  'Throttled',
] as const;

const JITTER = { BackoffRate: 2, JitterStrategy: 'FULL' } as const;

/**
 * In the Retry of every step, whatever it does: AWS's own failures, which functions/aws-failure.ts names where the step
 * meets them, and those in which Lambda does not come to run it. For an hour or so: an upload is worth more than that.
 */
export const RETRY_OF_AWS = {
  ErrorEquals: [
    'ServiceUnavailable',
    'Throttled',
    'Lambda.ServiceException',
    'Lambda.AWSLambdaException',
    'Lambda.SdkClientException',
    'Lambda.ClientExecutionTimeoutException',
    'Lambda.TooManyRequestsException',
    // A function in a VPC that has been idle, and one that is just being changed.
    'Lambda.ResourceNotReadyException',
    'Lambda.ResourceConflictException',
    'Lambda.EC2ThrottledException',
    'Lambda.EC2UnexpectedException',
    'Lambda.ENILimitReachedException',
    'Lambda.SubnetIPAddressLimitReachedException',
  ],
  IntervalSeconds: 2,
  MaxAttempts: 60,
  MaxDelaySeconds: 120,
  ...JITTER,
};

/** In the Retry of every step, too: it was begun and did not come to its end, and may itself be at fault. */
export const RETRY_OF_BROKEN_OFF = {
  ErrorEquals: [
    'Lambda.Unknown',
    'Runtime.ExitError',
    'Runtime.OutOfMemory',
    'Sandbox.Timedout',
    'States.Timeout',
  ],
  IntervalSeconds: 2,
  MaxAttempts: 5,
  MaxDelaySeconds: 30,
  ...JITTER,
};
