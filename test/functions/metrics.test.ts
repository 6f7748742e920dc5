import { expect, it, onTestFinished, vi } from 'vitest';
import { lambdaLog } from '../../functions/log.ts';
import { lambdaMetrics } from '../../functions/metrics.ts';

/** The lines that the process writes while the test runs: what Lambda hands to CloudWatch. */
function linesWritten(): Record<string, unknown>[] {
  const lines: Record<string, unknown>[] = [];
  for (const stream of [process.stdout, process.stderr]) {
    const spy = vi.spyOn(stream, 'write').mockImplementation((text) => {
      lines.push(JSON.parse(String(text)));
      return true;
    });
    onTestFinished(() => spy.mockRestore());
  }
  return lines;
}

it('writes each metric at once as a line of its own, under the installation alone', () => {
  const lines = linesWritten();
  const metrics = lambdaMetrics('prod').with({ jobId: 'j' });
  metrics.count('JobFailed');
  metrics.bytes('BytesSent', 5_000);
  expect(lines).toEqual([
    {
      _aws: {
        Timestamp: expect.any(Number),
        CloudWatchMetrics: [
          {
            Namespace: 'xensnap',
            Dimensions: [['installation']],
            Metrics: [{ Name: 'JobFailed', Unit: 'Count' }],
          },
        ],
      },
      installation: 'prod',
      jobId: 'j',
      JobFailed: 1,
    },
    expect.objectContaining({ installation: 'prod', jobId: 'j', BytesSent: 5_000 }),
  ]);
});

it('keeps a dimension to the metric that it was given with', () => {
  const lines = linesWritten();
  const metrics = lambdaMetrics('prod');
  metrics.seconds('StepSeconds', 1.5, { step: 'TakeVm' });
  metrics.count('JanitorFindings', 3);
  expect(lines[0]).toMatchObject({
    _aws: { CloudWatchMetrics: [{ Dimensions: [['installation', 'step']] }] },
    step: 'TakeVm',
    StepSeconds: 1.5,
  });
  expect(lines[1]).toMatchObject({ _aws: { CloudWatchMetrics: [{ Dimensions: [['installation']] }] } });
  expect(lines[1]).not.toHaveProperty('step');
});

it("writes a Lambda's log as one JSON object a line, with the job in each", () => {
  vi.stubEnv('AWS_LAMBDA_FUNCTION_NAME', 'xensnap-TakeVm');
  vi.stubEnv('AWS_LAMBDA_FUNCTION_VERSION', '7');
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  const lines = linesWritten();
  const log = lambdaLog().with({ jobId: 'j', step: 'TakeVm' });
  log.info('begun');
  log.with({ step: 'UnlockVm' }).warn('two\nlines', { error: 'VmBusy', reason: 'why' });
  const always = { service: 'xensnap', function_name: 'xensnap-TakeVm', function_version: '7', jobId: 'j' };
  expect(lines).toMatchObject([
    { ...always, level: 'INFO', message: 'begun', step: 'TakeVm', timestamp: expect.any(String) },
    { ...always, level: 'WARN', message: 'two\nlines', step: 'UnlockVm', error: 'VmBusy', reason: 'why' },
  ]);
});
