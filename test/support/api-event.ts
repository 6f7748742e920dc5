/** A request as API Gateway hands it on, once IAM has let the caller in. */
export function apiEvent(method: string, path: string, body?: string) {
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: '',
    headers: { host: 'api.example.com', ...(body && { 'content-type': 'application/json' }) },
    requestContext: {
      http: { method, path },
      domainName: 'api.example.com',
      authorizer: { iam: { userArn: 'arn:aws:iam::111122223333:user/operator' } },
    },
    isBase64Encoded: false,
    ...(body && { body }),
  };
}
