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
  return Buffer.from(JSON.stringify([id, createdAt])).toString('base64url');
}

/** @throws BadRequest for a marker that no answer gave */
export function positionOf(marker: string): Position {
  try {
    const [id, createdAt] = Wire.parse(JSON.parse(Buffer.from(marker, 'base64url').toString()));
    return { id, createdAt };
  } catch {
    throw new XensnapError('BadRequest', 'marker: take it from "next" of the answer before, as it is.');
  }
}
