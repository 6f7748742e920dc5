import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe } from 'vitest';
import { localClock } from '../../../local/clock.ts';
import { startGlance } from '../../../local/glance/server.ts';
import { glanceContract } from '../../glance/contract/contract.ts';
import { limits } from '../../glance/contract/target.ts';

const dataDir = await mkdtemp(join(tmpdir(), 'xensnap-glance-'));
const glance = await startGlance({ dataDir: join(dataDir, 'main') });
const limited = await startGlance({ dataDir: join(dataDir, 'limited'), clock: localClock(4), ...limits });
afterAll(async () => {
  await Promise.all([glance.close(), limited.close()]);
  await rm(dataDir, { recursive: true });
});

describe('the embedded Glance', () => glanceContract({ url: glance.url, limitedUrl: limited.url }));
