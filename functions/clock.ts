/** Where "now" comes from. Every deadline, expiry and timestamp asks a clock, so that tests can run time fast. */
export interface Clock {
  now(): Date;
}

/** A time after all others, as `toISOString` writes it. */
export const END_OF_TIME = '9999-12-31T23:59:59.999Z';

/** The machine's own clock. */
export const systemClock: Clock = { now: () => new Date() };

/** When the table may forget a record, in seconds since 1970. */
export function expiryOf(now: Date, days: number): number {
  return Math.floor(now.getTime() / 1000 + days * 86_400);
}
