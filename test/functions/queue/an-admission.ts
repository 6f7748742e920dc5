import type * as Sfn from '@aws-sdk/client-sfn';
import { SendTaskSuccessCommand } from '@aws-sdk/client-sfn';
import type * as Sqs from '@aws-sdk/client-sqs';
import { ChangeMessageVisibilityCommand } from '@aws-sdk/client-sqs';
import type { SQSBatchResponse, SQSRecord } from 'aws-lambda';
import { type AwsStub, mockClient } from 'aws-sdk-client-mock';
import { allCustomMatcher } from 'aws-sdk-client-mock-vitest';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import type { SnapshotJob } from '../../../functions/job.ts';
import { jsonLog } from '../../../functions/log.ts';
import { collectMetrics, type Measured } from '../../../functions/metrics.ts';
import { admitBatch } from '../../../functions/queue/admit.ts';
import { createRuntime, type WholeRuntime } from '../../../functions/runtime.ts';
import { LOCAL_AWS } from '../../../local/aws/in-process.ts';
import { startTable } from '../../../local/aws/table.ts';
import { tableDefinition } from '../../../local/table-definition.ts';
import { aJob } from '../api/a-job.ts';
import { NOW } from '../store/a-store.ts';
import 'aws-sdk-client-mock-vitest/extend';

expect.extend(allCustomMatcher);

export const QUEUE_URL = 'https://sqs.us-east-1.amazonaws.com/123456789012/xensnap-hosts.fifo';
export const HOST = 'host#demo/h1';
/** An SR with one slot, and a host with one. */
export const S1 = 'd6c2e1ba-42f6-4a6c-8f0d-3a1f6b0b5d11';
export const SINGLE = '4e8f6c0a-93d1-4b57-8a2e-6d1c0f7b9e35';
export const SR = `sr#demo/${S1}`;

const config = {
  installation: 'test',
  pools: [
    {
      name: 'demo',
      addresses: ['http://127.0.0.1:9'],
      slotsPerHost: 2,
      hostSlots: { [SINGLE]: 1 },
      srSlots: { [S1]: 1 },
    },
  ],
  glance: { url: 'http://127.0.0.1:9' },
  timings: { admissionRetrySeconds: 14.2 },
};

/** Admission on a real table, with SQS and Step Functions mocked at their clients. */
export interface Admissions {
  runtime: WholeRuntime;
  sqs: AwsStub<Sqs.ServiceInputTypes, Sqs.ServiceOutputTypes, Sqs.SQSClientResolvedConfig>;
  sfn: AwsStub<Sfn.ServiceInputTypes, Sfn.ServiceOutputTypes, Sfn.SFNClientResolvedConfig>;
  logs: { level: string; message: string }[];
  measured: Measured[];
}

/** Filled before the file's first test; the mocks are fresh in each. */
export function admissionsOfFile(): Admissions {
  const parts = { logs: [], measured: [] } as unknown as Admissions;
  let close = async () => {};
  beforeAll(async () => {
    const table = await startTable({ tableName: 'xensnap', definition: tableDefinition() });
    parts.runtime = createRuntime(
      {
        XENSNAP_CONFIG: JSON.stringify(config),
        XENSNAP_TABLE: 'xensnap',
        XENSNAP_STATE_MACHINE_ARN: 'arn:aws:states:us-east-1:123456789012:stateMachine:xensnap',
        XENSNAP_RESTORE_MACHINE_ARN: 'arn:aws:states:us-east-1:123456789012:stateMachine:xensnap-restore',
        XENSNAP_QUEUE_URL: QUEUE_URL,
        AWS_ENDPOINT_URL_DYNAMODB: table.endpoint,
      },
      {
        aws: LOCAL_AWS,
        clock: { now: () => NOW },
        log: jsonLog((line) => parts.logs.push(JSON.parse(line))),
        metrics: collectMetrics((measured) => parts.measured.push(measured)),
      },
    );
    parts.sqs = mockClient(parts.runtime.sqs);
    parts.sfn = mockClient(parts.runtime.sfn);
    close = async () => {
      await parts.runtime.close();
      await table.close();
    };
  });
  beforeEach(() => {
    parts.sqs.reset();
    parts.sfn.reset();
    parts.sqs.on(ChangeMessageVisibilityCommand).resolves({});
    parts.sfn.on(SendTaskSuccessCommand).resolves({});
    parts.logs.length = 0;
    parts.measured.length = 0;
  });
  afterAll(() => close());
  return parts;
}

/** Takes every job out of the places that the tests use, and every line off them. */
export async function emptyPlaces({ runtime: { store } }: Admissions): Promise<void> {
  for (const place of [HOST, SR, 'host#demo/h2'] as const) {
    for (const job of await store.counters.holders(place)) await store.counters.release(place, job);
    for (const line of await store.counters.waiting(place)) await store.counters.strike(place, line);
  }
  await store.pools.reached('demo');
}

let count = 0;

/** Writes a job that waits in a line, by default a host's own; answers the message that stands there for it. */
export async function aTicket(
  { runtime: { store } }: Admissions,
  { group = 'demo/h1', ...fields }: Partial<SnapshotJob> = {},
): Promise<{ jobId: string; ticket: string; group: string; taskToken: string }> {
  const job = aJob(fields);
  await store.jobs.create(job);
  const ticket = `ticket${++count}`;
  await store.jobs.queue(job.id, { group, ticket });
  return { jobId: job.id, ticket, group, taskToken: `token of ${ticket}` };
}

/** An SQS message with that body. */
export function aRecord(body: unknown): SQSRecord {
  const messageId = `message${++count}`;
  return {
    messageId,
    receiptHandle: `receipt of ${messageId}`,
    body: typeof body === 'string' ? body : JSON.stringify(body),
    attributes: {
      ApproximateReceiveCount: '1',
      SentTimestamp: String(NOW.getTime()),
      SenderId: 'x',
      ApproximateFirstReceiveTimestamp: '0',
    },
    messageAttributes: {},
    md5OfBody: '',
    eventSource: 'aws:sqs',
    eventSourceARN: 'arn:aws:sqs:us-east-1:123456789012:xensnap-hosts.fifo',
    awsRegion: 'us-east-1',
  };
}

/** Delivers messages in one batch. */
export function deliver({ runtime }: Admissions, ...bodies: unknown[]): Promise<SQSBatchResponse> {
  return admitBatch({ Records: bodies.map(aRecord) }, runtime);
}

export const DEALT_WITH: SQSBatchResponse = { batchItemFailures: [] };
