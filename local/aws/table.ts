import { mkdir } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import {
  CreateTableCommand,
  type CreateTableCommandInput,
  DynamoDBClient,
  ResourceInUseException,
} from '@aws-sdk/client-dynamodb';
import dynalite from 'dynalite';

/** What CreateTable is told, apart from the name: keys, attributes, indexes. */
export type TableDefinition = Omit<CreateTableCommandInput, 'TableName'>;

/**
 * Starts dynalite on 127.0.0.1 and makes the table if it is not there yet. dynalite has no transactions.
 * @param dataDir the folder (LevelDB) that outlives the service; without one, everything is in memory
 * @throws Error when another process has the folder open
 */
export async function startTable({
  dataDir,
  tableName,
  definition,
  port = 0,
}: {
  dataDir?: string;
  tableName: string;
  definition: TableDefinition;
  port?: number;
}): Promise<{ endpoint: string; close(): Promise<void> }> {
  if (dataDir !== undefined) await mkdir(dataDir, { recursive: true });
  const server = dynalite({
    ...(dataDir !== undefined && { path: dataDir }),
    createTableMs: 0,
    deleteTableMs: 0,
    updateTableMs: 0,
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = () =>
    new Promise<void>((resolve, reject) => {
      server.close((error) => (error ? reject(error) : resolve()));
      server.closeAllConnections();
    });
  try {
    await createTable(endpoint, { TableName: tableName, BillingMode: 'PAY_PER_REQUEST', ...definition });
  } catch (error) {
    await close();
    throw error;
  }
  return { endpoint, close };
}

async function createTable(endpoint: string, input: CreateTableCommandInput): Promise<void> {
  const client = new DynamoDBClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  });
  try {
    await client.send(new CreateTableCommand(input));
  } catch (error) {
    if (!(error instanceof ResourceInUseException)) throw error;
  } finally {
    client.destroy();
  }
}
