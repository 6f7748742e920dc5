import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import * as z from 'zod';
import { Network } from './network-config.ts';

/** An error whose message says which field of the context is wrong, and why. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}

const secretArn = z
  .string()
  .regex(
    /^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:.+-[A-Za-z0-9]{6}$/,
    'the whole ARN of a secret, with the six characters at its end',
  );
const cidr = z.union([z.cidrv4(), z.cidrv6()]);
/** Where an address that is a host name leads; an IP address needs none. */
const cidrs = z.union([cidr.transform((one) => [one]), z.array(cidr).min(1)]).optional();
/** The days that CloudWatch takes; `INFINITE` is none of its own. */
const RETENTIONS = Object.values(RetentionDays).filter(
  (days): days is RetentionDays => typeof days === 'number' && days !== RetentionDays.INFINITE,
);
const isRetention = (days: number) => RETENTIONS.some((each) => each === days);
const kept = z.enum(['retain', 'destroy']).default('retain');

const Pool = z.looseObject({
  name: z.string(),
  addresses: z.array(z.url()).min(1),
  /** The secret with `{"username","password"}`; without it an empty one is made. */
  secretArn: secretArn.optional(),
  cidr: cidrs,
});

const Glance = z.looseObject({
  url: z.url(),
  /** The secret with the application credential or the token; without it an empty one is made. */
  secretArn: secretArn.optional(),
  keystone: z.looseObject({ url: z.url(), cidr: cidrs }).optional(),
  cidr: cidrs,
});

const Authorisation = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('iam') }),
  z.strictObject({ type: z.literal('jwt'), issuer: z.url(), audience: z.array(z.string()).min(1) }),
  /** X-Auth-Token, as Keystone knows it; API Gateway keeps an answer for so many seconds, and nobody else does. */
  z.strictObject({ type: z.literal('keystone'), cacheSeconds: z.int().min(0).max(3600).default(60) }),
]);

const Settings = z
  .looseObject({
    installation: z
      .string()
      .regex(/^[A-Za-z][A-Za-z0-9-]{0,39}$/, 'a letter, then letters, digits, "-"; at most 40'),
    pools: z.array(Pool).min(1),
    glance: Glance,
    authorisation: Authorisation.default({ type: 'iam' }),
    /** Which projects of Keystone may use the API, and for which VMs. */
    projects: z.record(z.string(), z.unknown()).optional(),
    /** Requests a second, and at once, that the API takes from all callers together. */
    throttling: z
      .strictObject({ ratePerSecond: z.int().min(1), burst: z.int().min(1) })
      .default({ ratePerSecond: 20, burst: 40 }),
    /** Whether the functions that must not starve have places of their own in the account's concurrency. */
    reserveConcurrency: z.boolean().default(false),
    network: Network,
    /** Told of every alarm. More can subscribe to the topic. */
    alarmEmail: z.email().optional(),
    /** When waiting for a host, or the age of a scheduled VM's last verified backup, is worth an alarm. */
    alarmHours: z
      .strictObject({
        queueAge: z.number().positive().default(12),
        backupAge: z.number().positive().default(26),
      })
      .prefault({}),
    logDays: z
      .int()
      .refine(isRetention, `one of ${RETENTIONS.join(', ')}`)
      .default(90),
    /** Whether CloudFormation refuses to delete the stack; switched off in the settings, and deployed, before `cdk destroy`. */
    terminationProtection: z.boolean().default(true),
    /** What `cdk destroy` leaves. */
    retain: z.strictObject({ table: kept, logs: kept, secrets: kept }).prefault({}),
  })
  .superRefine(({ authorisation, glance, projects, pools }, context) => {
    const known = new Map<string, string>();
    for (const [index, { name }] of pools.entries()) {
      const other = known.get(idOf(name));
      known.set(idOf(name), name);
      if (other !== undefined && other !== name)
        context.addIssue({
          code: 'custom',
          path: ['pools', index, 'name'],
          message: `"${name}" and "${other}" have the same letters and digits, by which CloudFormation would name both; rename one`,
        });
    }
    if (authorisation.type !== 'keystone') return;
    const missing = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    if (!glance.keystone) missing(['glance', 'keystone'], 'authorisation by Keystone needs it');
    if (projects === undefined)
      missing(['projects'], 'authorisation by Keystone needs it: nobody could do anything');
  });

/** A name as it may stand in an id of CloudFormation's: letters and digits alone. */
export function idOf(name: string): string {
  return name.replace(/[^A-Za-z0-9]/g, '');
}

/** What the stack is made from. Fields that it does not know are the functions' own; their schema judges them. */
export type Settings = z.infer<typeof Settings>;

/** The context's `xensnap`; keys that begin with `//` are comments. Throws a ConfigurationError that names each wrong field. */
export function parseSettings(raw: unknown): Settings {
  if (raw === undefined)
    throw new ConfigurationError('cdk.json has no "xensnap" in its context: see the example in cdk.json.');
  const result = Settings.safeParse(withoutComments(raw));
  if (result.success) return result.data;
  const problems = result.error.issues.map(
    ({ path, message }) => `${path.join('.') || 'xensnap'}: ${message}`,
  );
  throw new ConfigurationError(`The configuration is wrong. ${problems.join('; ')}`);
}

function withoutComments(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutComments);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).filter(([key]) => !key.startsWith('//'));
  return Object.fromEntries(fields.map(([key, content]) => [key, withoutComments(content)]));
}
