import { CfnOutput, Duration, Fn, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway';
import {
  HttpApi,
  HttpMethod,
  HttpNoneAuthorizer,
  HttpStage,
  type IHttpRouteAuthorizer,
  LogGroupLogDestination,
} from 'aws-cdk-lib/aws-apigatewayv2';
import {
  HttpIamAuthorizer,
  HttpJwtAuthorizer,
  HttpLambdaAuthorizer,
  HttpLambdaResponseType,
} from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { OPEN_PATHS } from '../functions/api/gate.ts';
import { TABLE } from '../functions/store/table.ts';
import { acknowledge } from './acknowledge.ts';
import { createFunction, type Surroundings } from './function.ts';
import { allow, allowExecutions } from './grants.ts';
import { machineArns, machineEnvironment, type StateMachines } from './state-machine.ts';

/** The API and the functions behind it. */
export interface Api {
  readonly api: HttpApi;
  readonly stage: HttpStage;
  readonly functions: readonly LambdaFunction[];
}

/** The HTTP API in front of the one function that serves it. */
export function createApi(scope: Construct, surroundings: Surroundings, machines: StateMachines): Api {
  const serving = createFunction(scope, 'Api', surroundings, {
    entry: 'api/handler',
    description: 'xensnap: the API',
    memoryMib: 1024,
    // API Gateway waits for 30.
    seconds: 29,
    // More do not come through API Gateway, and whoever floods the open paths takes no step's place.
    atOnce: surroundings.settings.throttling.burst,
    reaches: ['pool', 'glance'],
    table: ['GetItem', 'PutItem', 'UpdateItem', 'DeleteItem'],
    indexes: Object.keys(TABLE.indexes),
    environment: machineEnvironment(machines),
  });
  allow(serving, ['states:StartExecution'], machineArns(machines));
  allowExecutions(serving, 'states:StopExecution', machines);
  allowExecutions(serving, 'states:GetExecutionHistory', machines);
  const { authorizer, functions } = authorise(scope, surroundings);
  const integration = new HttpLambdaIntegration('ApiIntegration', serving);
  const api = new HttpApi(scope, 'HttpApi', {
    description: `xensnap ${surroundings.settings.installation}`,
    createDefaultStage: false,
    defaultAuthorizer: authorizer,
    defaultIntegration: integration,
  });
  for (const path of OPEN_PATHS)
    for (const route of api.addRoutes({
      path,
      methods: [HttpMethod.GET],
      integration,
      authorizer: new HttpNoneAuthorizer(),
    }))
      acknowledge(
        route,
        'APIG4',
        'Versions and health are for everyone: clients and monitors ask them before they log in.',
      );
  const stage = createStage(scope, surroundings, api);
  new CfnOutput(scope, 'ApiUrl', { value: stage.url });
  return { api, stage, functions: [serving, ...functions] };
}

function createStage(scope: Construct, { settings }: Surroundings, httpApi: HttpApi): HttpStage {
  const log = new LogGroup(scope, 'AccessLog', {
    // As the state machines' logs: of this prefix, it needs no entry in the region's resource policy.
    logGroupName: `/aws/vendedlogs/apis/xensnap-${settings.installation}-${Fn.select(2, Fn.split('/', Stack.of(scope).stackId))}`,
    retention: settings.logDays,
    removalPolicy: settings.retain.logs === 'retain' ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
  });
  return new HttpStage(scope, 'Stage', {
    httpApi,
    stageName: '$default',
    autoDeploy: true,
    throttle: { rateLimit: settings.throttling.ratePerSecond, burstLimit: settings.throttling.burst },
    accessLogSettings: { destination: new LogGroupLogDestination(log), format: ACCESS_LOG },
  });
}

/**
 * No header, no body, no query: nothing in it may be a secret. Who asked stands in the field of the authorizer that the
 * stack has (IAM, JWT, Keystone), by ids: a name could hold quotes.
 */
const ACCESS_LOG = AccessLogFormat.custom(
  JSON.stringify({
    time: '$context.requestTime',
    requestId: '$context.requestId',
    from: '$context.identity.sourceIp',
    caller: '$context.identity.userArn',
    subject: '$context.authorizer.claims.sub',
    client: '$context.authorizer.claims.client_id',
    user: '$context.authorizer.userId',
    project: '$context.authorizer.projectId',
    method: '$context.httpMethod',
    path: '$context.path',
    status: '$context.status',
    milliseconds: '$context.responseLatency',
    error: '$context.error.message',
    authorizerError: '$context.authorizer.error',
  }),
);

function authorise(
  scope: Construct,
  surroundings: Surroundings,
): { authorizer: IHttpRouteAuthorizer; functions: LambdaFunction[] } {
  const { authorisation } = surroundings.settings;
  if (authorisation.type === 'iam') return { authorizer: new HttpIamAuthorizer(), functions: [] };
  if (authorisation.type === 'jwt') {
    const { issuer, audience } = authorisation;
    return { authorizer: new HttpJwtAuthorizer('Jwt', issuer, { jwtAudience: audience }), functions: [] };
  }
  const handler = createFunction(scope, 'Authorizer', surroundings, {
    entry: 'api/authorizer',
    description: 'xensnap: asks Keystone whose a token is',
    memoryMib: 512,
    seconds: 10,
    atOnce: surroundings.settings.throttling.burst,
    reaches: ['glance'],
    table: [],
  });
  const authorizer = new HttpLambdaAuthorizer('Keystone', handler, {
    responseTypes: [HttpLambdaResponseType.SIMPLE],
    identitySource: ['$request.header.X-Auth-Token'],
    resultsCacheTtl: Duration.seconds(authorisation.cacheSeconds),
  });
  return { authorizer, functions: [handler] };
}
