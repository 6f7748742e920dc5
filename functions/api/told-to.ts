import type { Context } from 'hono';
import type { Config } from '../config.ts';
import type { Reason } from '../errors.ts';
import { told } from '../told.ts';
import { type Caller, callerOf, confinedTo } from './caller.ts';
import { isStranger } from './gate.ts';

/** Who hears what; `undefined` is a stranger. */
export type Listener = Caller | undefined;

/** The caller, if it is one that is known. */
export function listenerOf(c: Context, config: Config): Listener {
  if (isStranger(c)) return undefined;
  try {
    return callerOf(c, config);
  } catch {
    return undefined;
  }
}

/** Whether messages that are meant for operators are for this caller: strangers and callers of a project get other words. */
export function hearsAll(listener: Listener): boolean {
  return listener !== undefined && confinedTo(listener) === undefined;
}

/** Why something failed, in the words that this caller may hear; no other way leads a reason out of the API. */
export function toldTo(listener: Listener, { name, message }: Reason): { name: string; message: string } {
  return hearsAll(listener) ? { name, message } : { ...told({ name, message }) };
}
