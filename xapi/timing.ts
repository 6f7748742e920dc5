import { takesLong } from './methods.ts';
import { XapiTimeUp } from './transport-errors.ts';

/** How long a request may take, in seconds, from waiting for a connection to the answer's end. */
export interface Timeouts {
  readonly callSeconds: number;
  /** The limit of a call that waits for an SR's driver; see `takesLong`. */
  readonly longCallSeconds: number;
}

/** Short, since whoever logs out of a pool that does not answer has waited long enough already. */
const MAX_LOGOUT_SECONDS = 5;
/**
 * No call is sent for less: nobody answers in that time, and Node's timers may end up to a millisecond early, so that a
 * call which took all of a session's time would leave a rest of it.
 */
const MIN_SECONDS = 0.005;

/** The time of one session. */
export interface Timing {
  /**
   * The seconds that a call may take which is sent now.
   * @throws XapiTimeUp when the session's own time is over
   */
  secondsFor(method: string): number;
  /** The limit of the logout, which is sent although the session's time is over. */
  readonly logoutSeconds: number;
}

/** @param sessionSeconds for all calls of a session together, from now on; without it there is no such limit */
export function timing(
  { callSeconds, longCallSeconds }: Timeouts,
  sessionSeconds = Number.POSITIVE_INFINITY,
): Timing {
  const until = performance.now() + sessionSeconds * 1000;
  return {
    secondsFor(method) {
      const left = (until - performance.now()) / 1000;
      if (left < MIN_SECONDS) throw new XapiTimeUp(method, sessionSeconds);
      return Math.min(left, takesLong(method) ? longCallSeconds : callSeconds);
    },
    logoutSeconds: Math.min(callSeconds, MAX_LOGOUT_SECONDS),
  };
}
