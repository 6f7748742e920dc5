/**
 * What AWS charges in us-east-1, in US dollars, without any free tier. The one file to change when prices do; each
 * line says where its price was read and when. `aws`: on AWS's own page. `third-party`: in somebody else's text.
 * Nothing here has been compared with a bill: see docs/aws.md.
 */
export const PRICES_OF = '2026-11-24';
export const REGION = 'us-east-1';

/** A price for each one of `unit`; what stands is priced by the month. */
export interface Price {
  readonly usd: number;
  readonly unit: string;
  readonly source: string;
  readonly from: 'aws' | 'third-party' | 'memory';
}

export const PRICES = {
  transition: price(
    0.025 / 1000,
    'state transitions, retries too',
    'aws',
    'aws.amazon.com/step-functions/pricing',
  ),
  lambdaRequest: price(0.2e-6, 'invocations', 'third-party', 'cloudchipr.com, 2024'),
  lambdaGbSecond: price(
    0.0000133334,
    'GB-seconds on arm64, start-up too',
    'third-party',
    'cloudchipr.com, 2024',
  ),
  queueRequest: price(
    0.5e-6,
    'FIFO requests of up to 64 KB, empty ones too',
    'third-party',
    'cloudburn.io, 3/2026',
  ),
  tableWrite: price(0.625e-6, 'write request units (1 KB)', 'third-party', 'airbyte.com, 7/2025'),
  tableRead: price(0.125e-6, 'read request units (4 KB, consistent)', 'third-party', 'airbyte.com, 7/2025'),
  secretRead: price(0.05 / 10_000, 'API calls', 'third-party', 'hivebook.wiki'),
  apiRequest: price(1e-6, 'HTTP API requests', 'third-party', 'infraatlas.dev'),
  logGb: price(0.5, 'GB taken in', 'third-party', 'c3x.dev, 6/2026'),
  trace: price(5e-6, 'traces recorded', 'aws', 'aws.amazon.com/xray/pricing'),
  endpointHour: price(
    0.01,
    'hours of an interface endpoint in one zone',
    'third-party',
    'zacfukuda.com, 6/2026',
  ),
  secretMonth: price(0.4, 'secrets', 'third-party', 'hivebook.wiki'),
  alarmMonth: price(0.1, 'metrics that alarms look at', 'third-party', 'c3x.dev, 2026'),
  dashboardMonth: price(3, 'dashboards', 'third-party', 'factualminds.com, 6/2026'),
  metricMonth: price(0.3, 'custom metrics', 'third-party', 'signoz.io, 2/2026'),
  tableGbMonth: price(0.25 + 0.2, 'GB, with point-in-time recovery', 'memory', 'unverified'),
  egressGb: price(0.09, 'GB that leaves AWS', 'third-party', 'unanswered.io'),
} as const satisfies Record<string, Price>;

export type PriceName = keyof typeof PRICES;

/** AWS's month for what is charged by the hour. */
export const HOURS_A_MONTH = 730;

function price(usd: number, unit: string, from: Price['from'], source: string): Price {
  return { usd, unit, source, from };
}
