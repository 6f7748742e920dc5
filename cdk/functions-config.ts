import { parseConfig } from '../functions/config.ts';
import { ConfigurationError, type Settings } from './config.ts';

/** A secret that the functions read, and whether it is there or has to be made. */
export interface NamedSecret {
  /** What it is made as, below the stack's own prefix. */
  readonly name: string;
  readonly of: 'pool' | 'glance';
  readonly what: string;
  readonly arn: string | undefined;
}

/** A secret for each pool, and Glance's. */
export function secretsOf({ pools, glance }: Settings): readonly NamedSecret[] {
  return [
    ...pools.map(
      ({ name, secretArn: arn }): NamedSecret => ({
        name: madeAs(name),
        of: 'pool',
        what: `xensnap: login at the pool ${name}, as {"username","password"}`,
        arn,
      }),
    ),
    {
      name: GLANCE,
      of: 'glance',
      what: glance.keystone
        ? 'xensnap: application credential for Glance'
        : 'xensnap: token for Glance, as {"token"}',
      arn: glance.secretArn,
    },
  ];
}

/** Neither ends as ARNs do, in a hyphen and six characters: Secrets Manager would take one for the other. */
const madeAs = (pool: string) => `pool/${pool}/login`;
const GLANCE = 'glance/login';

/** Fields of {@link Settings} that only the stack reads. */
const OF_THE_STACK = [
  'authorisation',
  'throttling',
  'reserveConcurrency',
  'network',
  'alarmEmail',
  'alarmHours',
  'logDays',
  'terminationProtection',
  'retain',
];

/**
 * The functions' configuration as JSON text, judged by their own schema. Secrets stand in it by ARN, or by the
 * name that they are made as. Throws a ConfigurationError that names each field which the functions do not know or do not take.
 */
export function functionsConfig(settings: Settings): string {
  const { pools, glance, ...rest } = settings;
  const { secretArn, cidr: _, keystone, ...ofGlance } = glance;
  const config = {
    ...Object.fromEntries(Object.entries(rest).filter(([field]) => !OF_THE_STACK.includes(field))),
    pools: pools.map(({ secretArn, cidr: _, ...pool }) => ({
      ...pool,
      secretId: secretArn ?? madeAs(pool.name),
    })),
    glance: {
      ...ofGlance,
      ...(keystone && { keystone: withoutCidr(keystone) }),
      secretId: secretArn ?? GLANCE,
    },
  };
  const text = JSON.stringify(config);
  try {
    parseConfig(text);
  } catch (error) {
    throw new ConfigurationError(error instanceof Error ? error.message : String(error), { cause: error });
  }
  return text;
}

function withoutCidr({ cidr: _, ...keystone }: NonNullable<Settings['glance']['keystone']>) {
  return keystone;
}
