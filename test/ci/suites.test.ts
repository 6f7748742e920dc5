import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const functions = fileURLToPath(new URL('../../.ci/suites.sh', import.meta.url));

/** Runs a script with the functions of .ci/suites.sh, between their begin and their end. */
function run(script: string): Promise<{ status: number; output: string; lines: string[] }> {
  return new Promise((resolve) => {
    const args = ['-c', `set -u; . "$1"; begin; ${script}`, 'run', functions];
    execFile('bash', args, (error, output) => {
      const status = error ? Number(error.code) : 0;
      resolve({ status, output, lines: output.trimEnd().split('\n') });
    });
  });
}

it('adds up what suites say, and one for a suite that says nothing', async () => {
  const { status, lines } = await run(
    "suite a 20 echo '3 passed, 0 failed'; suite b 20 true; suite c 20 printf '\\033[1m4 passed, 0 failed, 2 skipped\\033[0m'",
  );
  expect(lines.at(-1)).toBe('8 passed, 0 failed');
  expect(status).toBe(0);
});

it.each([
  ['tests that failed', "bash -c 'echo 3 passed, 2 failed; exit 1'", '3 passed, 2 failed'],
  ['a suite that hides its failures', "bash -c 'echo 3 passed, 2 failed'", '3 passed, 2 failed'],
  ['a suite that dies after it passed', "bash -c 'echo 3 passed, 0 failed; exit 7'", '3 passed, 1 failed'],
  ['a suite that says nothing and fails', 'false', '0 passed, 1 failed'],
  ['a suite that is not there', 'no-such-command', '0 passed, 1 failed'],
  ['a suite that does not end', "bash -c 'echo 1 passed, 0 failed; exec sleep 60'", '1 passed, 1 failed'],
  [
    'sums of parts, of which the last line counts',
    "printf '%s\\n' 'python 3: 9 passed, 9 failed' '1 passed, 1 failed' '2 passed, 1 failed'",
    '2 passed, 1 failed',
  ],
])('counts %s', async (_what, command, sum) => {
  const { status, lines } = await run(`suite a 2 ${command}`);
  expect(lines.at(-1)).toBe(sum);
  expect(status).toBe(1);
});

it('fails where nothing was run', async () => {
  expect(await run(':')).toMatchObject({ status: 1, lines: ['0 passed, 1 failed'] });
});

it('says its sum when it is stopped in the middle of a suite, and fails', async () => {
  const { status, lines } = await run('suite a 20 true; suite b 20 bash -c "kill -TERM $$; sleep 322"');
  expect(lines.at(-1)).toBe('1 passed, 1 failed');
  expect(status).toBe(1);
});

it('ends what a suite leaves running, says what it was, and counts it as a failure', async () => {
  const { lines, output } = await run(
    'suite a 20 bash -c \'echo "folder $TMPDIR"; setsid sleep 321 & echo "pid $!"\'; suite b 20 true',
  );
  expect(output).toContain('a left this running: sleep 321');
  expect(lines.at(-1)).toBe('2 passed, 1 failed');
  const pid = /^pid (\d+)$/m.exec(output)?.[1];
  expect(existsSync(`/proc/${pid}`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toContain('321');
  expect(existsSync(/^folder (.+)$/m.exec(output)?.[1] ?? '/')).toBe(false);
});

it('shows what failed and leaves out what passed', async () => {
  const { output } = await run(
    "suite a 20 printf '%s\\n' ' ✓ test/a.test.ts' '   ✓ works' '   × breaks' 'text'",
  );
  expect(output).not.toContain('\n   ✓ works');
  expect(output).toContain('× breaks\ntext\n');
});
