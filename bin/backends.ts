import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Driver } from '../functions/words.ts';
import type { ServiceOptions, ServicePool } from '../local/service-options.ts';
import { newToken } from '../local/token.ts';
import { UsageFailure } from './failures.ts';
import { readCertificateFile, readCredentialFile, readSecretFile } from './files.ts';
import { liveFile, watchedFile } from './live-file.ts';

/** The flags that say which pool and which Glance the service works on. */
export interface BackendFlags {
  readonly poolPort: number;
  readonly glancePort: number;
  readonly hosts: number;
  readonly vms: number;
  readonly diskMib: number;
  readonly slots: number;
  readonly driver: Driver;
  readonly quiesce: boolean;
  readonly pool?: readonly string[];
  readonly user: string;
  readonly passwordFile?: string;
  readonly fingerprint?: string[];
  readonly poolCaFile?: string;
  readonly glance?: string;
  readonly glanceTokenFile?: string;
  readonly glanceCaFile?: string;
  readonly glanceFingerprint?: string;
  readonly keystone?: string;
  readonly glanceCredentialFile?: string;
  readonly keystoneCaFile?: string;
  readonly keystoneFingerprint?: string;
  readonly allowHost?: string[];
}

const PLUGIN = fileURLToPath(new URL('../plugin/glance', import.meta.url));

/** @throws UsageFailure when flags that need one another do not stand together */
export function checkBackendFlags(flags: BackendFlags): void {
  const { pool, passwordFile, glance, keystone, glanceTokenFile, glanceCredentialFile } = flags;
  const ofPool = flags.fingerprint ?? flags.poolCaFile ?? passwordFile;
  if (pool === undefined && ofPool !== undefined)
    throw new UsageFailure(
      '--fingerprint, --pool-ca-file and --password-file belong to a real pool: name it with --pool',
    );
  if (pool !== undefined && passwordFile === undefined)
    throw new UsageFailure('--pool needs --password-file');
  if (pool !== undefined && glance === undefined)
    throw new UsageFailure("--pool needs --glance: a real host can't reach the embedded Glance");
  const ofGlance = [
    glanceTokenFile,
    glanceCredentialFile,
    flags.glanceCaFile,
    flags.glanceFingerprint,
    keystone,
  ];
  if (glance === undefined && ofGlance.some((flag) => flag !== undefined))
    throw new UsageFailure(
      '--keystone and the --glance-… flags belong to a real Glance: name it with --glance',
    );
  if (keystone === undefined && (flags.keystoneCaFile ?? flags.keystoneFingerprint) !== undefined)
    throw new UsageFailure('--keystone-ca-file and --keystone-fingerprint need --keystone');
  if (keystone !== undefined && glanceCredentialFile === undefined)
    throw new UsageFailure('--keystone needs --glance-credential-file: {"id": "…", "secret": "…"}');
  if (keystone === undefined && glanceCredentialFile !== undefined)
    throw new UsageFailure(
      '--glance-credential-file needs --keystone: the URL of the Keystone that knows it',
    );
  if (keystone !== undefined && glanceTokenFile !== undefined)
    throw new UsageFailure('--keystone gives the tokens: leave out --glance-token-file, or --keystone');
}

type Closers = (() => Promise<void>)[];

/**
 * The real Glance, or an embedded one that is started.
 * @param token what its own clients send; without one it asks nobody
 */
export async function glanceOf(
  flags: BackendFlags,
  dataDir: string,
  closers: Closers,
  token: string | undefined,
): Promise<ServiceOptions['glance']> {
  if (flags.glance !== undefined) {
    const { glanceTokenFile } = flags;
    return {
      url: flags.glance,
      ...(glanceTokenFile !== undefined && { token: await liveSecret(glanceTokenFile) }),
      ...(flags.keystone !== undefined && { keystone: await keystoneOf(flags, flags.keystone) }),
      ...(await trustOf(flags.glanceCaFile, flags.glanceFingerprint)),
    };
  }
  const { startGlance } = await import('../local/glance/server.ts');
  // The pool's hosts get one of their own: what they know opens no API.
  const tokens = token !== undefined && { token: newToken(), otherTokens: [token] };
  const glance = await startGlance({
    dataDir: join(dataDir, 'glance'),
    port: flags.glancePort,
    hosts: flags.allowHost ?? [],
    ...tokens,
  });
  closers.push(() => glance.close());
  return { url: glance.url, ...(tokens && { token: tokens.token }) };
}

async function keystoneOf(flags: BackendFlags, url: string) {
  const credential = await liveFile(flags.glanceCredentialFile ?? '', readCredentialFile);
  return { url, credential, ...(await trustOf(flags.keystoneCaFile, flags.keystoneFingerprint)) };
}

/** Half a line looks like a whole one: it counts once its file has been left alone for a second. */
function liveSecret(file: string): Promise<() => Promise<string>> {
  return liveFile(file, readSecretFile, 1000);
}

async function trustOf(caFile: string | undefined, fingerprint: string | undefined) {
  return {
    ...(caFile !== undefined && { ca: await watchedFile(caFile, readCertificateFile) }),
    ...(fingerprint !== undefined && { fingerprint }),
  };
}

/** The real pool, or a simulated one that is started; with the lines that say where it is. */
export async function poolOf(flags: BackendFlags, dataDir: string, closers: Closers) {
  const common = { slotsPerHost: flags.slots, driver: flags.driver };
  if (flags.driver === 'libvirt') {
    const pool: ServicePool = { ...common, name: 'libvirt', addresses: [], username: '', password: '' };
    return { pool, simulated: undefined, lines: [] };
  }
  if (flags.pool !== undefined) {
    const password = await liveSecret(flags.passwordFile ?? '');
    const pool: ServicePool = {
      ...common,
      name: 'pool',
      addresses: flags.pool,
      username: flags.user,
      password,
      ...(flags.fingerprint && { fingerprints: flags.fingerprint }),
      ...(await trustOf(flags.poolCaFile, undefined)),
    };
    return { pool, simulated: undefined, lines: [`pool ${flags.pool.join(',')} ${flags.user}`] };
  }
  const { startPool } = await import('../local/pool/pool.ts');
  const { hosts, vms, diskMib, quiesce, poolPort: port } = flags;
  const simulated = await startPool({
    dataDir: join(dataDir, 'pool'),
    pluginFile: PLUGIN,
    ...{ hosts, vms, diskMib, quiesce, port },
    // A real pool waits five minutes, and a real guest takes most of one; who tries this out has not got them.
    gcQuietSeconds: 20,
    guestBootSeconds: 2,
  });
  closers.push(() => simulated.close());
  const { url, memberUrls, username, password } = simulated;
  const pool: ServicePool = { ...common, name: 'demo', addresses: [url, ...memberUrls], username, password };
  return { pool, simulated, lines: [`pool ${url} ${username} ${password}`] };
}
