const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Whether a text looks like a UUID, of whatever version: a pool's own are random, but other makers' need not be. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}
