import { handle, type LambdaContext, type LambdaEvent } from 'hono/aws-lambda';
import type { QueueDepth } from '../doctor.ts';
import { lambdaRuntime } from '../runtime/executions.ts';
import { createApi } from './app.ts';

let app: ReturnType<typeof handle> | undefined;

/** The API as a Lambda behind an API Gateway HTTP API. */
export const handler = (event: LambdaEvent, context: LambdaContext) => {
  app ??= handle(createApi(lambdaRuntime(), { queueDepth: queueDepth(process.env.XENSNAP_QUEUE_URL) }));
  return app(event, context);
};

/** Where the deployment gives a way to the queue; ours does not, see docs/deploy.md. Its client is loaded when the doctor first asks, and not before. */
function queueDepth(queueUrl: string | undefined): QueueDepth | undefined {
  return queueUrl ? async () => (await import('../queue/depth.ts')).lambdaQueueDepth(queueUrl) : undefined;
}
