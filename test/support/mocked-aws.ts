import { mockClient } from 'aws-sdk-client-mock';
import { afterAll } from 'vitest';

/** Like {@link mockClient}, until the file's tests are over: the files that follow in the same process use the real class. */
export const mockedClass = ((client: never, ...more: never[]) => {
  const stub = mockClient(client, ...more);
  afterAll(() => stub.restore());
  return stub;
}) as typeof mockClient;
