import { afterEach, expect, it, vi } from 'vitest';
import { sevenZip } from '../../support/seven-zip.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

it('does without 7-Zip where it is not installed, unless the environment asks for it', () => {
  vi.stubEnv('PATH', '/nonexistent');
  vi.stubEnv('XENSNAP_REQUIRE_TOOLS', '');
  expect(sevenZip()).toBeUndefined();
  vi.stubEnv('XENSNAP_REQUIRE_TOOLS', '1');
  expect(() => sevenZip()).toThrow('7zz or 7z is not installed');
});
