/** Where "now" comes from. Every deadline, expiry and timestamp asks a clock, so that tests can run time fast. */
export interface Clock {
  now(): Date;
}

/** The machine's own clock. */
export const systemClock: Clock = { now: () => new Date() };
