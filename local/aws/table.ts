import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
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
import { LOCAL_AWS, serveInProcess } from './in-process.ts';

/** What CreateTable is told, apart from the name: keys, attributes, indexes. */
export type TableDefinition = Omit<CreateTableCommandInput, 'TableName'>;

/** Another process works with the data folder. */
export class DataInUseError extends Error {
  override readonly name = 'DataInUseError';
}

/**
 * Starts dynalite within this process and makes the table if it is not there yet. dynalite has no transactions.
 * @param dataDir the folder (LevelDB) that outlives the service; without one, everything is in memory
 * @throws DataInUseError when another service has the folder open
 */
export async function startTable({
  dataDir,
  tableName,
  definition,
}: {
  dataDir?: string;
  tableName: string;
  definition: TableDefinition;
}): Promise<{ endpoint: string; close(): Promise<void> }> {
  if (dataDir !== undefined) await prepare(dataDir);
  const server = dynalite({
    ...(dataDir !== undefined && { path: dataDir }),
    createTableMs: 0,
    deleteTableMs: 0,
    updateTableMs: 0,
  });
  await listenNowhere(server);
  const { endpoint, close: disconnect } = serveInProcess(server);
  const close = () =>
    new Promise<void>((resolve, reject) => {
      server.close((error) => (error ? reject(error) : resolve()));
      disconnect();
    });
  try {
    await createTable(endpoint, { TableName: tableName, BillingMode: 'PAY_PER_REQUEST', ...definition });
  } catch (error) {
    await close();
    throw error;
  }
  return { endpoint, close };
}

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

/** Opens the folder once before dynalite does, which would end the whole process over a folder that is in use. */
async function prepare(dataDir: string): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const { Level } = createRequire(import.meta.resolve('dynalite'))('level') as LevelModule;
  const database = new Level(dataDir);
  try {
    await database.open();
  } catch (cause) {
    const code = ((cause as Error).cause as { code?: string } | undefined)?.code;
    if (code !== 'LEVEL_LOCKED') throw cause;
    throw new DataInUseError(`The data folder ${dataDir} is in use by another xensnap`, { cause });
  }
  await database.close();
}

interface LevelModule {
  Level: new (location: string) => { open(): Promise<void>; close(): Promise<void> };
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
