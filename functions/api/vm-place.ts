import { z } from '@hono/zod-openapi';
import { readMarker, writeMarker } from './marker.ts';

/** What the lists of VMs are sorted by, and where a page of one ended. */
export interface VmPlace {
  readonly name: string;
  readonly pool: string;
  readonly uuid: string;
}

const Wire = z.tuple([z.string(), z.string(), z.string()]);

/** So much of a name decides on the order: markers are parts of addresses. */
const MOST_OF_NAME = 100;
export const startOfName = (name: string) => name.slice(0, MOST_OF_NAME).toWellFormed();

/** Sorts VMs by name; no two of them are the same. */
export function byName(a: VmPlace, b: VmPlace): number {
  return (
    startOfName(a.name).localeCompare(startOfName(b.name)) ||
    compare(a.uuid, b.uuid) ||
    compare(a.pool, b.pool)
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function markerOfVm({ name, pool, uuid }: VmPlace): string {
  return writeMarker([startOfName(name), pool, uuid]);
}

/** @throws BadRequest for a marker that no answer gave */
export function vmPlaceOf(marker: string): VmPlace {
  const [name, pool, uuid] = readMarker(marker, Wire);
  return { name, pool, uuid };
}
