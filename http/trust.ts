import { X509Certificate } from 'node:crypto';

/** Which servers to believe, as an operator says it. */
export interface TrustOptions {
  /** SHA-256 of the certificates that count, colons or plain hex; where there is one, no authority is asked. */
  readonly fingerprint?: string | readonly string[] | undefined;
  /**
   * PEM of the authorities that may vouch for a certificate, or what tells it for each new connection; without it, and
   * without a fingerprint, those that this machine trusts.
   */
  readonly ca?: string | (() => string | undefined) | undefined;
}

/** A trust that was read and found usable; {@link trustingConnector} acts on it. */
export interface Trust {
  /** Fingerprints as node:tls gives them, `AB:CD:…`. */
  readonly fingerprints: readonly string[];
  /** PEM that {@link parseAuthority} has taken; undefined for the machine's own authorities. */
  ca(): string | undefined;
}

/**
 * Reads what an operator says of the certificates of these servers.
 * @throws TypeError for a fingerprint or authority that is not valid, and for a fingerprint without TLS
 */
export function trustOf({ fingerprint, ca }: TrustOptions, ...servers: readonly URL[]): Trust {
  const fingerprints = [fingerprint ?? []].flat().map(parseFingerprint);
  const clear = servers.find(({ protocol }) => protocol === 'http:');
  if (clear && fingerprints.length > 0)
    throw new TypeError(`${clear.origin} has no certificate to compare with the fingerprint: use https`);
  const tell = typeof ca === 'function' ? ca : () => ca;
  let last: string | undefined;
  const trust = {
    fingerprints,
    ca() {
      const pem = tell();
      if (pem !== undefined && pem !== last) last = parseAuthority(pem);
      return pem;
    },
  };
  trust.ca();
  return trust;
}

/**
 * A SHA-256 fingerprint in the form that node:tls gives, `AB:CD:…`, from colons or plain hex in either case.
 * @throws TypeError for anything else
 */
export function parseFingerprint(text: string): string {
  const hex = text.trim().replaceAll(':', '').toUpperCase();
  if (!/^[0-9A-F]{64}$/.test(hex))
    throw new TypeError(`not a SHA-256 certificate fingerprint (64 hex digits): ${JSON.stringify(text)}`);
  return hex.match(/../g)?.join(':') ?? '';
}

const BEGIN = '-----BEGIN CERTIFICATE-----';

/**
 * The PEM itself, once each certificate in it has been read: node:tls takes any text without a word, and then trusts
 * nobody.
 * @param name says in errors what the text is
 * @throws TypeError for a text without a certificate, and for one with a certificate that is cut off or damaged
 */
export function parseAuthority(pem: string, name = 'the CA'): string {
  const [, ...certificates] = pem.split(BEGIN);
  if (certificates.length === 0) throw new TypeError(`${name} holds no certificate in PEM (${BEGIN})`);
  try {
    for (const certificate of certificates) new X509Certificate(BEGIN + certificate);
    return pem;
  } catch (cause) {
    throw new TypeError(`${name} holds a certificate that is cut off or damaged`, { cause });
  }
}
