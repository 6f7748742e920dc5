import { z } from '@hono/zod-openapi';
import { XensnapError } from '../errors.ts';

/** Where a page of jobs ended: the last job that was looked at. Opaque to callers. */
export interface Position {
  readonly id: string;
  readonly createdAt: string;
}

const Wire = z.tuple([z.uuid(), z.iso.datetime()]);

/** The position as callers hand it back in `?marker=`. */
export function markerOf({ id, createdAt }: Position): string {
  return writeMarker([id, createdAt]);
}

/** @throws BadRequest for a marker that no answer gave */
export function positionOf(marker: string): Position {
  const [id, createdAt] = readMarker(marker, Wire);
  return { id, createdAt };
}

export function writeMarker(place: unknown): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

/** @throws BadRequest for a marker that no answer gave */
export function readMarker<S extends z.ZodType>(marker: string, wire: S): z.infer<S> {
  try {
    return wire.parse(JSON.parse(Buffer.from(marker, 'base64url').toString()));
  } catch {
    throw new XensnapError('BadRequest', 'marker: take it from "next" of the answer before, as it is.');
  }
}
