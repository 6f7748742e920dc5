import { executeApiRegion } from '../address.ts';
import { CommandFailure } from '../failures.ts';
import type { ApiRequest, Authentication, AuthOptions, Proof } from './authentication.ts';

const CREDENTIALS_ADVICE =
  'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (after "aws sso login", where it is of SSO)';

/** Signs each request with SigV4, as API Gateway's IAM authorisation wants it, by AWS's standard chain of credentials. */
export function iam(url: URL, { region: given }: AuthOptions): Authentication {
  const { AWS_REGION, AWS_DEFAULT_REGION } = process.env;
  const region = given ?? executeApiRegion(url) ?? (AWS_REGION || AWS_DEFAULT_REGION);
  let signer: Promise<(request: ApiRequest) => Promise<Proof>> | undefined;
  return {
    prove(request) {
      signer ??= createSigner(region);
      return signer.then((sign) => sign(request));
    },
    advice:
      `the AWS credentials are over or may not execute-api:Invoke here, ${region} is not the API's region, or ` +
      'the clock is wrong; where the API wants a token, set --auth token or bearer',
  };
}

async function createSigner(region: string | undefined): Promise<(request: ApiRequest) => Promise<Proof>> {
  if (!region) throw new CommandFailure("the API's AWS region is not known: set --region or AWS_REGION");
  // They take a moment to load: commands that sign nothing do not wait for them.
  const [{ defaultProvider }, { SignatureV4 }, { Hash }] = await Promise.all([
    import('@aws-sdk/credential-provider-node'),
    import('@smithy/signature-v4'),
    import('@smithy/core/serde'),
  ]);
  const findCredentials = defaultProvider();
  return async (request) => {
    const credentials = await findCredentials().catch(explain);
    const signature = new SignatureV4({
      credentials,
      region,
      service: 'execute-api',
      sha256: Hash.bind(null, 'sha256'),
    });
    const { headers } = await signature.sign(unsigned(request));
    // The client of HTTP writes it itself.
    const { host: _, ...proof } = headers;
    const secrets = [credentials.secretAccessKey, credentials.sessionToken, headers.authorization];
    return { headers: proof, secrets: secrets.filter((secret) => secret !== undefined) };
  };
}

function explain(error: unknown): never {
  const { name, message } = error as Error;
  const found = name === 'CredentialsProviderError' && message.startsWith('Could not load credentials');
  const what = found ? 'there are no AWS credentials' : `the AWS credentials cannot be had (${message})`;
  throw new CommandFailure(`${what}: ${CREDENTIALS_ADVICE}`, { cause: error });
}

/** The request in the form that the SDK signs. */
function unsigned({ method, url, headers, body }: ApiRequest) {
  const query: Record<string, string[]> = {};
  for (const [name, value] of url.searchParams) query[name] = [...(query[name] ?? []), value];
  return {
    method,
    protocol: url.protocol,
    hostname: url.hostname,
    path: url.pathname,
    query,
    headers: { ...headers, host: url.host },
    body,
  };
}
