import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import type { RequestListener, Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateTableCommand,
  type CreateTableCommandInput,
  DescribeTableCommand,
  DynamoDBClient,
  ResourceInUseException,
} from '@aws-sdk/client-dynamodb';
import dynalite from 'dynalite';
import { within } from '../../functions/bounded.ts';
import { DataFolderError, DataInUseError, damaged, trouble } from './damage.ts';
import { type DatabaseGuard, failureBody, guardDatabase, Level, reopen } from './guarded-level.ts';
import { checkHighWater, keepHighWater } from './high-water.ts';
import { LOCAL_AWS, serveInProcess } from './in-process.ts';

/** What CreateTable is told, apart from the name: keys, attributes, indexes. */
export type TableDefinition = Omit<CreateTableCommandInput, 'TableName'>;

/**
 * Starts dynalite within this process and makes the table if it is not there yet. dynalite has no transactions. While
 * the disk is full, or fails otherwise, every question is answered by InternalServerError, with the reason; once it can
 * be written again, the table goes on.
 * @param dataDir the folder (LevelDB) that outlives the service; without one, everything is in memory
 * @param tell told in a sentence when the table can't be used any more, and when it can again
 * @throws DataInUseError when another service has the folder open; DataFolderError when it can't be written or is damaged
 */
export async function startTable({
  dataDir,
  tableName,
  definition,
  tell = () => {},
}: {
  dataDir?: string;
  tableName: string;
  definition: TableDefinition;
  tell?: (message: string) => void;
}): Promise<{ endpoint: string; close(): Promise<void> }> {
  if (dataDir !== undefined) await prepare(dataDir);
  const server = dynalite({
    ...(dataDir !== undefined && { path: dataDir }),
    createTableMs: 0,
    deleteTableMs: 0,
    updateTableMs: 0,
  });
  const unguard = dataDir === undefined ? async () => {} : guard(server, dataDir, tell);
  await listenNowhere(server);
  const { endpoint, close: disconnect } = serveInProcess(server);
  const answered = followAnswers(server);
  const close = async () => {
    await answered();
    await new Promise<void>((resolve, reject) => {
      server.close((error) => (error ? reject(error) : resolve()));
      disconnect();
    });
    await unguard();
  };
  try {
    await createTable(endpoint, { TableName: tableName, BillingMode: 'PAY_PER_REQUEST', ...definition });
  } catch (error) {
    await close();
    throw dataDir !== undefined && (error as Error).name === 'InternalServerError'
      ? new DataFolderError((error as Error).message, { cause: error })
      : error;
  }
  return { endpoint, close };
}

/** Lets no question through to a database that has failed: it is opened anew first, which reads its log again. */
function guard(server: Server, dataDir: string, tell: (message: string) => void): () => Promise<void> {
  const highWater = keepHighWater(dataDir);
  const guarded: DatabaseGuard = {
    failure: undefined,
    written: highWater.acknowledged,
    failed(why) {
      if (guarded.failure === undefined)
        tell(
          `the table in ${dataDir} can't be used any more: ${why}; what is asked is answered with 503 until then`,
        );
      guarded.failure ??= why;
    },
  };
  const unguard = guardDatabase(dataDir, guarded);
  const under = new Set<Promise<unknown>>();
  let mending: Promise<void> | undefined;
  const mend = async () => {
    await Promise.all(under);
    try {
      if (guarded.database) await reopen(guarded.database);
      guarded.failure = undefined;
      tell(`the table in ${dataDir} can be used again`);
    } catch (error) {
      guarded.failure = trouble((error as Error).cause ?? error) ?? String((error as Error).cause ?? error);
    }
  };
  const [answer] = server.listeners('request') as [RequestListener];
  server.removeAllListeners('request').on('request', async (request, response) => {
    if (guarded.failure !== undefined) {
      mending ??= mend().finally(() => {
        mending = undefined;
      });
      await mending;
    }
    if (guarded.failure !== undefined) {
      response.writeHead(500, { 'content-type': 'application/x-amz-json-1.0' });
      response.end(JSON.stringify(failureBody(`The table in ${dataDir} can't be used: ${guarded.failure}`)));
      return;
    }
    const over = once(response, 'close');
    under.add(over);
    over.finally(() => under.delete(over));
    answer(request, response);
  });
  return async () => {
    unguard();
    await highWater.close();
  };
}

/**
 * Follows the requests that are being answered, also those whose caller has gone: dynalite ends the process over one that
 * finds its database closed. What is returned lets no more in, and resolves when all are answered, or after a while.
 */
function followAnswers(server: Server): () => Promise<void> {
  const under = new Set<Promise<void>>();
  const [answer] = server.listeners('request') as [RequestListener];
  server.removeAllListeners('request').on('request', (request, response) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    under.add(promise);
    promise.then(() => under.delete(promise));
    const end = response.end;
    response.end = ((...args: Parameters<typeof end>) => {
      resolve();
      return end.apply(response, args);
    }) as typeof end;
    // Of a request that was cut off nobody makes an answer.
    request.once('close', () => request.complete || resolve());
    answer(request, response);
  });
  return async () => {
    server.removeAllListeners('request').on('request', (_request, response) => response.destroy());
    await within(MOST_ANSWER_SECONDS, Promise.all(under), undefined);
  };
}

const MOST_ANSWER_SECONDS = 5;

/**
 * dynalite closes its database only if it listens. So it does, on a socket whose name is gone before anybody but this
 * user could have found it.
 */
async function listenNowhere(server: Server): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-'));
  try {
    server.listen(join(folder, 'table'));
    await once(server, 'listening');
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Opens the folder once before dynalite does, which would end the whole process over a folder that it cannot open. */
async function prepare(dataDir: string): Promise<void> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    await checkCurrent(dataDir);
    await checkHighWater(dataDir);
    const database = new Level(dataDir);
    await database.open();
    // Files of an earlier version are small, and may share keys: see FILE_BYTES. A disk that is full is told of by the
    // first write.
    await database.compactRange('', '\uffff').catch(() => {});
    await database.close();
  } catch (error) {
    throw explained(dataDir, error);
  }
}

/**
 * LevelDB takes a folder without its file CURRENT for a new one, and removes what else it finds there. It makes that file
 * before any log.
 * @throws DataFolderError for one in which there was a table
 */
async function checkCurrent(dataDir: string): Promise<void> {
  const names = await readdir(dataDir);
  if (names.some((name) => /\.(log|ldb)$/.test(name)) && !names.includes('CURRENT'))
    throw damaged(dataDir, 'CURRENT is gone');
}

function explained(dataDir: string, error: unknown): unknown {
  if (error instanceof DataFolderError) return error;
  const { cause = error } = error as { cause?: unknown };
  const { code, message } = cause as { code?: string; message?: string };
  if (code === 'LEVEL_LOCKED')
    return new DataInUseError(`The data folder ${dataDir} is in use by another xensnap`, { cause: error });
  const why = trouble(cause);
  if (why !== undefined)
    return new DataFolderError(`The data folder ${dataDir} can't be used: ${why}, or name another`, {
      cause: error,
    });
  if (code?.startsWith('LEVEL_')) return damaged(dataDir, String(message), error);
  return error;
}

async function createTable(endpoint: string, input: CreateTableCommandInput): Promise<void> {
  const client = new DynamoDBClient({ ...LOCAL_AWS, endpoint });
  try {
    await client.send(new CreateTableCommand(input));
  } catch (error) {
    if (!(error instanceof ResourceInUseException)) throw error;
  }
  // dynalite calls a new table active a moment after it has answered.
  const describe = new DescribeTableCommand({ TableName: input.TableName });
  while ((await client.send(describe)).Table?.TableStatus !== 'ACTIVE');
  client.destroy();
}
