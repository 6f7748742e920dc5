import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import type { ClientRequest } from 'node:http';
import type { Origin, Who, WireEnd } from './call.ts';

/** The generation of what is no service's, such as the plugin, which outlives each. */
export const OUTSIDE = -1;

/** What all requests of the service carry on their way to the wire, which takes it off again. */
export const ORIGIN_HEADER = 'x-kill-origin';

const origins = new AsyncLocalStorage<Origin | undefined>();
const wires = new Map<string, WeakRef<WireEnd>>();

/** Runs `work`, all of whose requests are then known to come from there. */
export function from<T>(origin: Origin, work: () => T): T {
  return origins.run(origin, work);
}

/** Runs `work`, whose requests are nobody's: those of the wire itself, and of the looks of a test. */
export function asNobody<T>(work: () => T): T {
  return origins.run(undefined, work);
}

export function currentOrigin(): Origin | undefined {
  return origins.getStore();
}

/** An origin as it stands in the header. */
export function written({ wire, generation, who, job }: Origin): string {
  return [wire.id, generation, who, job ?? ''].join(' ');
}

/** The origin that a header names; undefined for a request that has none. */
export function read(header: string | string[] | undefined): Origin | undefined {
  const [id = '', generation, who, job] = String(header ?? '').split(' ');
  const wire = wires.get(id)?.deref();
  if (!wire) return undefined;
  return { wire, generation: Number(generation), who: who as Who, ...(job && { job }) };
}

/** Makes a wire known, so that its origins can be read. */
export function register(wire: WireEnd): void {
  wires.set(wire.id, new WeakRef(wire));
}

// Node's own clients, which AWS's SDK uses, and undici, which reaches pools, Glance and Keystone: both tell of a request
// where it is made, which is where the caller is still known.
subscribe('http.client.request.created', (message) => {
  const origin = currentOrigin();
  if (origin) (message as { request: ClientRequest }).request.setHeader(ORIGIN_HEADER, written(origin));
});
subscribe('undici:request:create', (message) => {
  const origin = currentOrigin();
  const { request } = message as { request: { addHeader(name: string, value: string): void } };
  if (origin) request.addHeader(ORIGIN_HEADER, written(origin));
});
