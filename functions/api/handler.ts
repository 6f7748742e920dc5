import { handle, type LambdaContext, type LambdaEvent } from 'hono/aws-lambda';
import { lambdaRuntime } from '../runtime/executions.ts';
import { createApi } from './app.ts';

let app: ReturnType<typeof handle> | undefined;

/** The API as a Lambda behind an API Gateway HTTP API. */
export const handler = (event: LambdaEvent, context: LambdaContext) => {
  app ??= handle(createApi(lambdaRuntime()));
  return app(event, context);
};
