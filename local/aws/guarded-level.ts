import { createRequire } from 'node:module';
import { trouble } from './damage.ts';

/** LevelDB as dynalite has it. */
interface Database {
  readonly location: string;
  open(): Promise<void>;
  close(): Promise<void>;
  /** Merges the files that hold the keys from one to another. */
  compactRange(from: string, to: string): Promise<void>;
}

interface DatabaseClass {
  new (location: string): Database;
  readonly prototype: Database &
    Record<Guarded, (...args: unknown[]) => Promise<unknown>> & {
      _open(options: object): Promise<void>;
    };
}

type Guarded = 'get' | 'put' | 'del' | 'batch';
const WRITES: readonly Guarded[] = ['put', 'del', 'batch'];

/** What the database of a folder is told and asked. */
export interface DatabaseGuard {
  /** Set while the database must not be used: what it failed with. */
  failure: string | undefined;
  /** A write is in LevelDB's log. */
  written(): void;
  /** It has just failed. */
  failed(why: string): void;
  database?: Database;
}

const guards = new Map<string, DatabaseGuard>();

/** The class that dynalite opens its databases with, which tells the guards of what becomes of each question. */
export const { Level } = createRequire(import.meta.resolve('dynalite'))('level') as { Level: DatabaseClass };

/**
 * Bytes of a file of the database, at most; 2 MiB unless said. LevelDB 1.20, which classic-level has, can answer an item as
 * it was before if two files of one level share its key (google/leveldb#320, mended in 1.21). Files come to share one where
 * the storage of many versions is split, which were kept for somebody who was reading. Files of this size are not split
 * until a level has more than this; larger ones would overflow LevelDB's own sums.
 */
const FILE_BYTES = 64 * 2 ** 20;

const openAsGiven = Level.prototype._open;
Level.prototype._open = function (this: Database, options) {
  return openAsGiven.call(this, { ...options, maxFileSize: FILE_BYTES });
};

/** dynalite's keys of tables' definitions, of which it reads one for each question: half of all that it reads. */
const DEFINITION = /^table~/;

/** The definitions that were read of a database since one was written, or it was opened. */
const definitions = new WeakMap<Database, Map<string, unknown>>();

function definitionsOf(database: Database): Map<string, unknown> {
  const found = definitions.get(database) ?? new Map<string, unknown>();
  definitions.set(database, found);
  return found;
}

for (const method of ['get', ...WRITES] as const) {
  const original = Level.prototype[method];
  Level.prototype[method] = async function (this: Database, ...args) {
    const guard = guards.get(this.location);
    if (!guard) return original.apply(this, args);
    guard.database = this;
    const key = String(args[0]);
    const isDefinition = DEFINITION.test(key);
    if (isDefinition && method !== 'get') definitions.delete(this);
    const read = definitionsOf(this);
    if (method === 'get' && guard.failure === undefined && read.has(key))
      return structuredClone(read.get(key));
    try {
      const result = await original.apply(this, args);
      // What came behind a write that was cut off in the log may not be found again: it is not acknowledged.
      if (guard.failure === undefined && WRITES.includes(method)) guard.written();
      // What was read while it was being written is not kept: that map is no longer asked.
      if (isDefinition && method !== 'get') definitions.delete(this);
      else if (isDefinition) read.set(key, structuredClone(result));
      if (guard.failure === undefined) return result;
    } catch (error) {
      if ((error as { code?: string }).code === 'LEVEL_NOT_FOUND') throw error;
      guard.failed(trouble(error) ?? (error instanceof Error ? error.message : String(error)));
    }
    throw asAnswer(`The table in ${this.location} can't be used: ${guard.failure}`);
  };
}

/** Closes a database and opens it again, behind the back of dynalite, for which one that was closed is over. */
export async function reopen(database: Database): Promise<void> {
  definitions.delete(database);
  await Level.prototype.close.call(database);
  await Level.prototype.open.call(database);
}

/** dynalite answers an error that has a status, and ends the process over any other. */
function asAnswer(message: string): Error {
  return Object.assign(new Error(message), { statusCode: 500, body: failureBody(message) });
}

/** DynamoDB's own failure: whoever asks asks again. */
export function failureBody(message: string): object {
  return { __type: 'com.amazonaws.dynamodb.v20120810#InternalServerError', message };
}

/** Has a guard told of the database in that folder. Returns what takes it back. */
export function guardDatabase(location: string, guard: DatabaseGuard): () => void {
  guards.set(location, guard);
  return () => guards.delete(location);
}
