import { UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { expect, it } from 'vitest';
import { storeOfFile } from './a-store.ts';

const parts = storeOfFile();

// What the other tests of this folder stand on: a write of the store that named such a word would fail there too.
it.each(['status', 'open', 'ttl', 'error'])(
  'knows a table that refuses DynamoDB\'s reserved word "%s" in an expression',
  async (word) => {
    const update = new UpdateItemCommand({
      TableName: 'xensnap',
      Key: { id: { S: 'x' } },
      UpdateExpression: `SET ${word} = :v`,
      ExpressionAttributeValues: { ':v': { S: 'x' } },
    });
    await expect(parts.client.send(update)).rejects.toThrow('reserved keyword');
  },
);
