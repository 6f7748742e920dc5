import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

/** Where Debian and others install Chromium; XENSNAP_CHROMIUM names another place. */
const file = [
  process.env.XENSNAP_CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((each) => each !== undefined && existsSync(each));

/** Whether tests that need a browser are left out: only where there is none and it is not required. */
export const NO_BROWSER = !file && process.env.XENSNAP_REQUIRE_TOOLS !== '1';

/** A headless Chromium, with further arguments. */
export function aBrowser(...args: readonly string[]): Promise<Browser> {
  if (!file) throw new Error('There is no Chromium: apt-get install chromium');
  return chromium.launch({
    executablePath: file,
    args: ['--no-sandbox', '--disable-dev-shm-usage', ...args],
    timeout: 120_000,
  });
}
