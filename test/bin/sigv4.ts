import { createHash, createHmac } from 'node:crypto';

/** A request as it came over the wire. */
export interface Received {
  readonly method: string;
  /** Path and query, as sent. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface SigningKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();

/** Everything but what RFC 3986 calls unreserved. */
const uriEncode = (text: string) =>
  [...Buffer.from(text)]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      return /[A-Za-z0-9._~-]/.test(character)
        ? character
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    })
    .join('');

/**
 * What is wrong with a request's signature; undefined when it is right. By the steps of AWS's "Create a signed AWS
 * API request", with nothing of the SDK: canonical request, string to sign, derived key, signature.
 */
export function signatureFault(
  { method, target, headers, body }: Received,
  key: SigningKey,
  { region, service }: { readonly region: string; readonly service: string },
): string | undefined {
  const authorization = String(headers.authorization);
  const parts =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization,
    );
  if (!parts) return `no signature: ${authorization}`;
  const [, keyId, date = '', scopeRegion = '', scopeService = '', signed = '', signature] = parts;
  const time = String(headers['x-amz-date']);
  if (keyId !== key.accessKeyId) return `another key: ${keyId}`;
  if (scopeRegion !== region || scopeService !== service)
    return `another scope: ${scopeRegion}/${scopeService}`;
  if (!/^\d{8}T\d{6}Z$/.test(time) || !time.startsWith(date)) return `another day: ${time}`;
  if (headers['x-amz-security-token'] !== key.sessionToken) return 'another session token';
  const names = signed.split(';');
  const wanted = ['host', 'x-amz-date', ...(key.sessionToken ? ['x-amz-security-token'] : [])];
  for (const name of wanted) if (!names.includes(name)) return `${name} is not signed`;
  if (names.join() !== [...names].sort().join()) return 'the signed headers are not in order';
  const [path = '', query = ''] = target.split('?');
  const canonicalQuery = query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => pair.split('=').map((half) => uriEncode(decodeURIComponent(half))))
    .map(([name = '', value = '']) => `${name}=${value}`)
    .sort()
    .join('&');
  const canonicalRequest = [
    method,
    // Each segment is encoded once more than it was sent: of all services only S3 does not.
    path.split('/').map(uriEncode).join('/'),
    canonicalQuery,
    ...names.map((name) => `${name}:${String(headers[name]).trim().replaceAll(/ +/g, ' ')}`),
    '',
    signed,
    sha256(body),
  ].join('\n');
  const scope = `${date}/${region}/${service}/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonicalRequest)].join('\n');
  const derived = [date, region, service, 'aws4_request'].reduce<string | Buffer>(
    hmac,
    `AWS4${key.secretAccessKey}`,
  );
  return hmac(derived, toSign).toString('hex') === signature
    ? undefined
    : `another signature:\n${canonicalRequest}`;
}
