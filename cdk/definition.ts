import { readFileSync } from 'node:fs';
import type { MachineName } from '../statemachine/contract.ts';

/** A state machine's document as text, with placeholders for what the stack knows. */
export function definitionOf(machine: MachineName): string {
  return readFileSync(new URL(`../statemachine/${machine}.asl.json`, import.meta.url), 'utf8');
}
