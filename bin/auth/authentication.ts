import { Option } from 'commander';

/** Ways to tell the API who asks: not at all, a signature (SigV4), X-Auth-Token, `Authorization: Bearer`. */
export const AUTH_METHODS = ['none', 'iam', 'token', 'bearer'] as const;
export type AuthMethod = (typeof AUTH_METHODS)[number];

/** What the command line says of it; the environment says the rest. */
export interface AuthOptions {
  /** How to sign requests; if absent, the API's address decides. */
  readonly auth?: AuthMethod;
  /** Has the token in its first line. */
  readonly tokenFile?: string;
  /** AWS's, for a signature; of no use where the API's host name holds it. */
  readonly region?: string;
}

/** A request, as it is about to go out. */
export interface ApiRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Headers to send with a request, and what of them must not be shown. */
export interface Proof {
  readonly headers: Readonly<Record<string, string>>;
  readonly secrets: readonly string[];
}

/** How the API is told who asks. */
export interface Authentication {
  /**
   * Made anew for each request, so that what was renewed meanwhile counts.
   * @throws CommandFailure when there is nothing to prove it with, ApiUnreachable when who gives it is away; no
   *   secret is in their messages
   */
  prove(request: ApiRequest): Promise<Proof>;
  /** What to do when the API has refused the proof. */
  readonly advice: string;
}

/** The options of every command that speaks to the API. Secrets are in files and in the environment alone. */
export function authOptions(): Option[] {
  return [
    new Option('--auth <method>', 'how the API is told who asks (default: by its address)')
      .choices(AUTH_METHODS)
      .env('XENSNAP_AUTH'),
    new Option('--token-file <file>', 'for --auth token or bearer: has the token in its first line'),
    new Option('--region <region>', "for --auth iam: AWS's (default: the address's, else AWS_REGION)"),
  ];
}
