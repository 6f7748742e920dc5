import { DEFAULT_TIMINGS, type JobModel, type PollTimings } from './model.ts';
import { PRICES, type PriceName } from './prices.ts';
import { type Usage, usageOf } from './usage.ts';
import { type Walk, walk } from './walk.ts';

/** One line of a bill. */
export interface Line {
  readonly service: string;
  readonly what: PriceName;
  readonly quantity: number;
  readonly unit: string;
  readonly usd: number;
}

export interface Bill {
  readonly walk: Walk;
  readonly lines: readonly Line[];
  readonly usd: number;
}

const SERVICE: Readonly<Record<PriceName, string>> = {
  transition: 'Step Functions',
  lambdaRequest: 'Lambda',
  lambdaGbSecond: 'Lambda',
  queueRequest: 'SQS',
  tableWrite: 'DynamoDB',
  tableRead: 'DynamoDB',
  tableGbMonth: 'DynamoDB',
  secretRead: 'Secrets Manager',
  secretMonth: 'Secrets Manager',
  apiRequest: 'API Gateway',
  logGb: 'CloudWatch',
  alarmMonth: 'CloudWatch',
  dashboardMonth: 'CloudWatch',
  metricMonth: 'CloudWatch',
  trace: 'X-Ray',
  endpointHour: 'VPC',
  egressGb: 'Data transfer',
};

/** What a job of that model costs, by service. Free tiers are left out. */
export function billOf(model: JobModel, timings: PollTimings = DEFAULT_TIMINGS): Bill {
  const done = walk(model, timings);
  const lines = linesOf(usageOf(done, model, timings));
  return { walk: done, lines, usd: sumOf(lines) };
}

/** Quantities at their prices. */
export function linesOf(usage: Usage): Line[] {
  return (Object.entries(usage) as [PriceName, number][]).map(([what, quantity]) => {
    const { usd, unit } = PRICES[what];
    return { service: SERVICE[what], what, quantity, unit, usd: quantity * usd };
  });
}

export function sumOf(lines: readonly Line[]): number {
  return lines.reduce((sum, { usd }) => sum + usd, 0);
}
