import { SendTaskSuccessCommand, SFNClient } from '@aws-sdk/client-sfn';
import { ChangeMessageVisibilityCommand, SQSClient } from '@aws-sdk/client-sqs';
import { expect, it, onTestFinished } from 'vitest';
import { startEventSource } from '../../../local/aws/event-source.ts';
import { LOCAL_AWS } from '../../../local/aws/in-process.ts';
import { startQueue } from '../../../local/aws/queue.ts';
import { sqsSender } from '../../../local/aws/sqs-sender.ts';
import { substitute } from '../../../local/aws/states/definition.ts';
import { localClock } from '../../../local/clock.ts';
import { aCallback, aStateMachine } from './machines.ts';

it('lets executions wait in the queue until a consumer that refuses at first grants them a place', async () => {
  const clock = localClock(1000);
  const queue = await startQueue({ name: 'hosts.fifo', visibilitySeconds: 43_200, clock });
  const sqs = new SQSClient({ endpoint: queue.endpoint, ...LOCAL_AWS });
  // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's placeholder
  const Parameters = { ...aCallback().Parameters, QueueUrl: '${QueueUrl}', 'MessageGroupId.$': '$.host' };
  const { Queue } = substitute({ Queue: aCallback({ Parameters, End: true }) }, { QueueUrl: queue.queueUrl });
  const machine = await aStateMachine({ Queue: Queue as object }, {}, { clock, sendMessage: sqsSender(sqs) });
  const states = new SFNClient({ endpoint: machine.service.endpoint, ...LOCAL_AWS });
  const admitted: string[] = [];
  const source = startEventSource({
    client: sqs,
    queueUrl: queue.queueUrl,
    queueArn: queue.queueArn,
    concurrency: 3,
    async handler({ Records: [record] }) {
      const { token: taskToken, job } = JSON.parse(record?.body ?? '');
      if (record?.attributes.ApproximateReceiveCount === '1') {
        const QueueUrl = queue.queueUrl;
        const hide = { QueueUrl, ReceiptHandle: record.receiptHandle, VisibilityTimeout: 15 };
        await sqs.send(new ChangeMessageVisibilityCommand(hide));
        return { batchItemFailures: [{ itemIdentifier: record.messageId }] };
      }
      admitted.push(job);
      await states.send(new SendTaskSuccessCommand({ taskToken, output: JSON.stringify({ job }) }));
      return { batchItemFailures: [] };
    },
  });
  onTestFinished(async () => {
    await source.stop();
    await queue.close();
    sqs.destroy();
    states.destroy();
  });

  const started: string[] = [];
  for (const n of [1, 2, 3])
    for (const host of ['a', 'b']) started.push(await machine.start({ host }, `${host}${n}`));
  const done = await Promise.all(started.map(machine.ended));
  expect(done.map(({ status }) => status)).toEqual(Array(6).fill('SUCCEEDED'));
  expect(done.map(({ result }) => result.job)).toEqual(done.map(({ name }) => name));
  for (const host of ['a', 'b'])
    expect(admitted.filter((job) => job.startsWith(host))).toEqual([1, 2, 3].map((n) => `${host}${n}`));
  await source.stop();
  expect(await queue.depth()).toEqual({ waiting: 0, inFlight: 0 });
});
