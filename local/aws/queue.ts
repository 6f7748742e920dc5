import { buildApp } from 'fauxqs';
import type { LocalClock } from '../clock.ts';
import { serveInProcess } from './in-process.ts';

const ACCOUNT = '000000000000';
const FOURTEEN_DAYS = '1209600';

/** A FIFO queue that the SQS client reaches at `endpoint`; `queueUrl` names the same address. */
export interface LocalQueue {
  readonly endpoint: string;
  readonly queueUrl: string;
  readonly queueArn: string;
  /** Messages that wait, and messages that somebody has received and not yet deleted. */
  depth(): Promise<{ waiting: number; inFlight: number }>;
  close(): Promise<void>;
}

interface TimedRequest {
  VisibilityTimeout?: number;
  Entries?: { VisibilityTimeout?: number }[];
}

/**
 * Starts fauxqs within this process with one FIFO queue: content-based deduplication, 14 days' retention, everything
 * in memory. Its own start function would listen on all interfaces and name the queue `sqs.us-east-1.localhost`; it
 * finds a queue by the last part of whatever URL it is given.
 * @param name ends in `.fifo`
 * @param clock visibility timeouts pass as fast as this clock; without one, in real time
 */
export async function startQueue({
  name,
  visibilitySeconds,
  clock,
}: {
  name: string;
  visibilitySeconds: number;
  clock?: LocalClock;
}): Promise<LocalQueue> {
  const app = buildApp({ logger: false, defaultRegion: 'us-east-1' });
  const speed = clock?.speed ?? 1;
  // fauxqs keeps visibility in real time, but takes fractions of a second in a request.
  app.addHook('preHandler', async (request) => {
    const target = String(request.headers['x-amz-target'] ?? '');
    const body = request.body as TimedRequest;
    if (target === 'AmazonSQS.ReceiveMessage') body.VisibilityTimeout ??= visibilitySeconds;
    for (const timed of [body, ...(body?.Entries ?? [])])
      if (timed?.VisibilityTimeout !== undefined) timed.VisibilityTimeout /= speed;
  });
  await app.ready();
  const { endpoint, close: disconnect } = serveInProcess(app.server);
  const close = async () => {
    disconnect();
    await app.close();
  };
  const created = await app.inject({
    method: 'POST',
    url: '/',
    headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.CreateQueue' },
    payload: JSON.stringify({
      QueueName: name,
      Attributes: {
        FifoQueue: 'true',
        ContentBasedDeduplication: 'true',
        VisibilityTimeout: String(visibilitySeconds),
        MessageRetentionPeriod: FOURTEEN_DAYS,
      },
    }),
  });
  if (created.statusCode !== 200) {
    await close();
    throw new Error(`The queue ${name} could not be made: ${created.body}`);
  }
  return {
    endpoint,
    queueUrl: `${endpoint}/${ACCOUNT}/${name}`,
    queueArn: `arn:aws:sqs:us-east-1:${ACCOUNT}:${name}`,
    async depth() {
      const response = await app.inject({ method: 'GET', url: `/_fauxqs/queues/${name}` });
      const { ready, delayed, inflight } = response.json<{ messages: Record<string, unknown[]> }>().messages;
      return {
        waiting: (ready?.length ?? 0) + (delayed?.length ?? 0),
        inFlight: inflight?.length ?? 0,
      };
    },
    close,
  };
}
