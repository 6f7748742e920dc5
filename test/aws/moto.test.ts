import {
  CreateStateMachineCommand,
  DescribeExecutionCommand,
  SFNClient,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';
import { expect, it } from 'vitest';
import { MOTO, MOTO_ACCOUNT } from './moto.ts';

it('has a moto that runs state machines', async () => {
  const client = new SFNClient(MOTO);
  const definition = { StartAt: 'Only', States: { Only: { Type: 'Pass', Result: 7, End: true } } };
  const { stateMachineArn } = await client.send(
    new CreateStateMachineCommand({
      name: 'small',
      definition: JSON.stringify(definition),
      roleArn: `arn:aws:iam::${MOTO_ACCOUNT}:role/small`,
    }),
  );
  for (const name of ['once', 'again']) {
    const { executionArn } = await client.send(new StartExecutionCommand({ stateMachineArn, name }));
    await expect
      .poll(() => client.send(new DescribeExecutionCommand({ executionArn })), { timeout: 20_000 })
      .toMatchObject({ status: 'SUCCEEDED', output: '7' });
  }
  client.destroy();
});
