import { within } from '../bounded.ts';
import { ERROR_STATUS } from '../errors.ts';
import type { Log } from '../log.ts';
import { translate } from '../translate.ts';

/** From the best to the worst. */
export const CHECK_STATUSES = ['ok', 'warning', 'failed'] as const;
export type CheckStatus = (typeof CHECK_STATUSES)[number];

/** One thing that was looked at. */
export interface Check {
  /** What was checked: `pool demo`, `Glance`, `service`. */
  readonly area: string;
  /** What was looked at, such as `plugin on xen1`. */
  readonly what: string;
  readonly status: CheckStatus;
  readonly found: string;
  /** What to do; null where all is well. */
  readonly advice: string | null;
  /** Name of the error that it failed with. */
  readonly error: string | null;
}

/** What a look found; `ok` unless it says otherwise. */
export interface Found {
  readonly status?: CheckStatus;
  readonly found: string;
  readonly advice?: string;
}

/** Seconds that one look may take; all of them together must fit into what API Gateway waits for, 30. */
export const LOOK_SECONDS = 12;

/** Looks, and makes of what is found or thrown a check. Never throws. */
export async function check(
  log: Log,
  area: string,
  what: string,
  look: () => Promise<Found>,
  seconds = LOOK_SECONDS,
): Promise<Check> {
  const late = {
    status: 'failed',
    found: `No answer in ${seconds} seconds.`,
    advice: 'Look at the way there, and at the load.',
  } as const;
  try {
    const { status = 'ok', found, advice = null } = await within<Found, typeof late>(seconds, look(), late);
    return { area, what, status, found, advice, error: null };
  } catch (thrown) {
    return { area, what, status: 'failed', ...told(thrown, log.with({ area, what })) };
  }
}

/** The error in words for the operator. One that is not known may quote anything: it is for the log alone. */
function told(thrown: unknown, log: Log): Pick<Check, 'found' | 'advice' | 'error'> {
  const { name, message } = translate(thrown);
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause.name : '';
  const advice = ADVICE[name] ?? ADVICE[cause];
  if (name in ERROR_STATUS && name !== 'Internal')
    return { found: message, advice: advice ?? null, error: name };
  if (name === 'TypeError') return { found: message, advice: 'Correct the configuration.', error: name };
  log.error('a check failed for a reason of its own', { error: name });
  const isAws = thrown instanceof Error && '$metadata' in thrown;
  return {
    found: isAws ? `AWS answered ${name}.` : `It failed with ${name}.`,
    advice: advice ?? (isAws ? "Look at the function's rights and at its network." : null),
    error: name,
  };
}

const SECRET =
  'Put user name and password of the pool into its secret, as {"username":"…","password":"…"}; on one machine, give --user and the file of --password-file.';
const PLUGIN = 'Install plugin/glance on this host, as plugin/README.md says.';
const TOKEN =
  'Put the right {"token":"…"}, or {"id":"…","secret":"…"} for Keystone, into the secret of Glance; on one machine, the token into the file of --glance-token-file, or {"id":"…","secret":"…"} into that of --glance-credential-file.';
const ONCE_KNOWN =
  'once you know that the certificate is of the right server; if not, find out who answers there.';

const ADVICE: Readonly<Record<string, string>> = {
  PoolUnreachable:
    'Is the host on, and is there a way to this port: VPN or peering, routes, security group, firewall?',
  XapiReplyLost:
    'Is it a XenServer or XCP-ng host that answers there? Look at its xensource.log, and try again.',
  XapiBusy: 'Is the host on, and does the master reach it? Try again later.',
  PoolCertificateMismatch: `Pin it in the pool's \`fingerprints\` (on one machine: --fingerprint), or give its \`ca\` (--pool-ca-file), ${ONCE_KNOWN}`,
  PoolLoginRefused: SECRET,
  PoolPermissionDenied:
    'Give the account the role pool-admin (xe subject-role-add role-name=pool-admin uuid=…).',
  PluginMissing: PLUGIN,
  PluginTooOld: PLUGIN,
  PluginFailure: `Run "xe host-call-plugin host-uuid=… plugin=glance fn=version" there. ${PLUGIN}`,
  GlanceUnavailable: 'Is Glance up, is its URL right, and is there a way to it? Hosts need one as well.',
  GlanceUnauthorized: TOKEN,
  GlanceForbidden:
    'Give the account behind the token a role that may create and delete images (member or admin).',
  GlanceCertificateMismatch: `Pin it in Glance's \`fingerprint\`, or give its \`ca\`, ${ONCE_KNOWN}`,
  GlanceTooLarge: "Raise Glance's limit or quota.",
  KeystoneCertificateMismatch: `Pin it in Keystone's \`fingerprint\`, or give its \`ca\`, ${ONCE_KNOWN}`,
  KeystoneUnauthorized: TOKEN,
  KeystoneUnavailable: 'Is Keystone up, is its URL right, and is there a way to it?',
  ResourceNotFoundException: 'Is it deployed, and is the name or ARN right?',
  AccessDeniedException: "Look at the function's rights.",
};
