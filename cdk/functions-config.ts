import { parseConfig } from '../functions/config.ts';
import { ConfigurationError, type Settings } from './config.ts';

/** The names under which the functions' configuration speaks of secrets, and their settings. */
export interface NamedSecret {
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
        name: `pool/${name}`,
        of: 'pool',
        what: `xensnap: login at the pool ${name}, as {"username","password"}`,
        arn,
      }),
    ),
    {
      name: 'glance',
      of: 'glance',
      what: glance.keystone
        ? 'xensnap: application credential for Glance'
        : 'xensnap: token for Glance, as {"token"}',
      arn: glance.secretArn,
    },
  ];
}

/** Fields of {@link Settings} that only the stack reads. */
const OF_THE_STACK = [
  'authorisation',
  'throttling',
  'network',
  'alarmEmail',
  'alarmHours',
  'logDays',
  'retain',
];

/**
 * The functions' configuration as JSON text, judged by their own schema. Secrets stand in it by name. Throws a
 * ConfigurationError that names each field which the functions do not know or do not take.
 */
export function functionsConfig(settings: Settings): string {
  const { pools, glance, ...rest } = settings;
  const { secretArn: _, cidr: __, keystone, ...ofGlance } = glance;
  const config = {
    ...Object.fromEntries(Object.entries(rest).filter(([field]) => !OF_THE_STACK.includes(field))),
    pools: pools.map(({ secretArn: _, cidr: __, ...pool }) => ({ ...pool, secretId: `pool/${pool.name}` })),
    glance: { ...ofGlance, ...(keystone && { keystone: withoutCidr(keystone) }), secretId: 'glance' },
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
