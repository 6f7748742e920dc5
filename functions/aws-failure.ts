import { XensnapError } from './errors.ts';

/** How the services of AWS name it, after the SDK's own further tries. */
const THROTTLED = /Throttl|^ProvisionedThroughputExceeded|^RequestLimitExceeded|^TooManyRequests/;

/** What passes by itself, in the services' names, whatever status they give it. */
const PASSING = [
  'TimeoutError',
  'InternalServerError',
  'InternalServiceError',
  'InternalFailure',
  'ServiceUnavailable',
  'ServiceUnavailableException',
  'TransactionConflictException',
  'ReplicatedWriteConflictException',
];
/** How such names begin that come with and without a last word. */
const PASSING_FIRST = ['RequestTimeout', 'RequestExpired', 'ExpiredToken'];

/** What the SDK's errors carry; one without a status is of the network, or of the credentials. */
interface OfSdk extends Error {
  readonly $fault?: 'client' | 'server';
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/**
 * A failure of AWS's own, or of the way to it, that another try may mend, under one of the two names on which every
 * state of the state machine tries again. Undefined for every other error: what AWS refuses it will refuse again.
 */
export function awsFailure(error: Error): XensnapError | undefined {
  if (THROTTLED.test(error.name) || statusOf(error) === 429)
    return new XensnapError(
      'Throttled',
      `AWS takes no more requests of this service at the moment (${error.name}). Ask again.`,
      { cause: error },
    );
  if (!isPassing(error)) return undefined;
  // What the network says may name addresses.
  const why = statusOf(error) === undefined ? error.name : `${error.name}: ${error.message}`;
  return new XensnapError(
    'ServiceUnavailable',
    `A service that xensnap works with has failed (${why}). Ask again.`,
    {
      cause: error,
    },
  );
}

function isPassing(error: OfSdk): boolean {
  if (isUnreadable(error)) return true;
  if (PASSING.includes(error.name) || PASSING_FIRST.some((first) => error.name.startsWith(first)))
    return true;
  if (error.$fault === 'server') return true;
  if (error.$metadata === undefined || error.$fault === 'client') return false;
  return (statusOf(error) ?? 500) >= 500;
}

/** An answer that is not JSON: a proxy's on the way, or one cut short. What was asked may have been done. */
function isUnreadable(error: Error): boolean {
  // The SDK's own mark of what its deserializer could not make anything of.
  return error instanceof SyntaxError && Object.hasOwn(error, '$response');
}

function statusOf({ $metadata }: OfSdk): number | undefined {
  return $metadata?.httpStatusCode;
}
