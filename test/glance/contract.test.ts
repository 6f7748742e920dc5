import { describe } from 'vitest';
import { glanceContract } from './contract/contract.ts';

const { XENSNAP_GLANCE_URL: url, XENSNAP_GLANCE_LIMITED_URL: limitedUrl } = process.env;
if (!url || !limitedUrl) throw new Error('Run these tests with `npm run test:glance`, which starts a Glance');

describe('a real Glance', () => glanceContract({ url, limitedUrl }));
