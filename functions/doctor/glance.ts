import { randomUUID } from 'node:crypto';
import type { BaseRuntime } from '../runtime/base.ts';
import { type Check, check, type Found } from './check.ts';

type Deps = Pick<BaseRuntime, 'config' | 'glance' | 'keystone' | 'log'>;

/** Looks at Glance: whether it answers, takes a record, and hashes as VerifyImage needs it; at Keystone before it. */
export async function checkGlance(runtime: Deps): Promise<Check[]> {
  const { log, keystone, config } = runtime;
  const ofKeystone =
    keystone && check(log, 'Keystone', config.glance.keystone?.url ?? '', () => token(keystone));
  const answers = await check(log, 'Glance', config.glance.url, async () => {
    const { version } = await runtime.glance.check();
    return { found: `Answers, and takes our token; its newest API is ${version ?? 'not told'}.` };
  });
  const checks = [...(ofKeystone ? [await ofKeystone] : []), answers];
  if (answers.status === 'failed') return checks;
  const further = [
    check(log, 'Glance', 'writing', () => writeRecord(runtime)),
    check(log, 'Glance', 'hash', () => lookAtHash(runtime)),
  ];
  return [...checks, ...(await Promise.all(further))];
}

async function token(keystone: NonNullable<Deps['keystone']>): Promise<Found> {
  // A new token, since the one that is kept tells nothing about Keystone now.
  await keystone.renew();
  return { found: 'Gives a token for the application credential.' };
}

/** A record without data, as each job makes one; the janitor would remove it, too. */
async function writeRecord({ glance, config }: Deps): Promise<Found> {
  const id = randomUUID();
  await glance.createImage({
    id,
    name: 'xensnap-doctor',
    diskFormat: 'vhd',
    containerFormat: 'ovf',
    visibility: 'private',
    properties: { xensnap_installation: config.installation },
  });
  await glance.deleteImage(id);
  return { found: 'A record was made and deleted.' };
}

/** Glance does not tell its `hashing_algorithm`, but what it computed of its newest image. */
async function lookAtHash({ glance }: Deps): Promise<Found> {
  for await (const { osHashAlgo: algorithm } of glance.listImages({ status: 'active', pageSize: 1 })) {
    if (algorithm === 'sha512') return { found: 'The newest image has a sha512.' };
    return {
      status: 'failed',
      found: `The newest image has ${algorithm ?? 'no hash'}, not sha512: images could not be verified.`,
      advice: 'Set hashing_algorithm = sha512 in glance-api.conf (it is the default).',
    };
  }
  return { found: 'There is no image yet to tell from; sha512 is the default.' };
}
