import { afterAll, expect, it } from 'vitest';
import { CONSUMERS, INSTALLATION, JANITOR, TICK } from '../../cost/standing.ts';
import { ADMISSION, API } from '../../functions/cost/step-use.ts';
import { STEPS } from '../../statemachine/contract.ts';
import { EXAMPLE } from '../cdk/settings.ts';
import { synthesize } from '../cdk/synth.ts';

const stack = synthesize(EXAMPLE);
afterAll(() => stack.remove());

const count = (type: string) => Object.keys(stack.all(type)).length;
const memoryOf = (name: string) => stack.one('AWS::Lambda::Function', name).Properties.MemorySize;

it.each<[name: string, memoryMib: number]>([
  ['Admit', ADMISSION.memoryMib],
  ['Api', API.memoryMib],
  ['Janitor', JANITOR.memoryMib],
  ['Schedules', TICK.memoryMib],
  ...Object.entries(STEPS).map(([name, { memoryMib }]) => [name, memoryMib] as [string, number]),
])('reckons with the memory that %s has: %i MiB', (name, memoryMib) => {
  expect(memoryOf(name)).toBe(memoryMib);
});

it('reckons with as many rounds of the janitor, and looks at the schedules, as there are', () => {
  const schedules = Object.values(stack.all('AWS::Scheduler::Schedule'));
  expect(schedules.map(({ Properties }) => Properties.ScheduleExpression).sort()).toEqual([
    `rate(${TICK.minutes} minute)`,
    `rate(${JANITOR.minutes} minutes)`,
  ]);
});

it('reckons with the queues that Lambda asks', () => {
  expect(count('AWS::Lambda::EventSourceMapping')).toBe(CONSUMERS);
});

it('reckons with the endpoints, in as many zones', () => {
  const endpoints = Object.values(stack.all('AWS::EC2::VPCEndpoint')).filter(
    ({ Properties }) => Properties.VpcEndpointType === 'Interface',
  );
  expect(endpoints).toHaveLength(INSTALLATION.endpoints);
  for (const { Properties } of endpoints) expect(Properties.SubnetIds).toHaveLength(INSTALLATION.zones);
});

it('reckons with a secret for each pool, and Glance’s', () => {
  expect(EXAMPLE.pools).toHaveLength(INSTALLATION.pools);
  expect(count('AWS::SecretsManager::Secret')).toBe(INSTALLATION.pools + 1);
});

it('reckons with every metric that an alarm looks at', () => {
  const looked = Object.values(stack.all('AWS::CloudWatch::Alarm')).map(
    ({ Properties: { Metrics = [{ MetricStat: {} }] } }) =>
      Metrics.filter(({ MetricStat }: { MetricStat?: object }) => MetricStat).length,
  );
  expect(looked.reduce((sum, each) => sum + each, 0)).toBe(INSTALLATION.alarmMetrics);
});

it('reckons with the dashboard, and with each metric of ours on it', () => {
  const dashboards = Object.values(stack.all('AWS::CloudWatch::Dashboard'));
  expect(dashboards).toHaveLength(INSTALLATION.dashboards);
  const metrics = dashboards.flatMap(({ Properties }) => ownMetrics(Properties.DashboardBody));
  expect(new Set(metrics).size).toBe(INSTALLATION.metrics);
});

/** Metrics of the namespace `xensnap` in a dashboard, each with its dimensions. */
function ownMetrics({ 'Fn::Join': [, parts] }: { 'Fn::Join': [string, unknown[]] }): string[] {
  const body = parts.map((part) => (typeof part === 'string' ? part : 'x')).join('');
  const { widgets } = JSON.parse(body) as { widgets: { properties: { metrics?: unknown[][] } }[] };
  return widgets
    .flatMap(({ properties }) => properties.metrics ?? [])
    .filter(([namespace]) => namespace === 'xensnap')
    .map((metric) => metric.filter((part) => typeof part === 'string').join(' '));
}
