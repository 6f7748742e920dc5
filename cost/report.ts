import { type Bill, type Line, sumOf } from '../functions/cost/bill.ts';
import { PRICES, PRICES_OF, REGION } from '../functions/cost/prices.ts';
import type { Installation } from './standing.ts';

/** What was asked about a snapshot, and what it costs. */
export interface Report {
  readonly sizeGib: number;
  readonly uploadMinutes: number;
  readonly bill: Bill;
  readonly standing: readonly Line[];
  readonly installation: Installation;
  readonly perMonth: number;
}

/** The report as one JSON document. */
export function reportJson({
  sizeGib,
  uploadMinutes,
  bill,
  standing,
  perMonth,
  installation,
}: Report): object {
  const { transitions, events, seconds, runs } = bill.walk;
  return {
    region: REGION,
    pricesOf: PRICES_OF,
    snapshot: {
      sizeGib,
      uploadMinutes,
      usd: bill.usd,
      transitions,
      events,
      seconds,
      runs,
      lines: bill.lines,
    },
    month: {
      standing: { usd: sumOf(standing), lines: standing, installation },
      snapshots: { count: perMonth, usd: perMonth * bill.usd },
      usd: sumOf(standing) + perMonth * bill.usd,
    },
    unverified: Object.entries(PRICES).flatMap(([name, { from }]) => (from === 'aws' ? [] : [name])),
  };
}

/** The report for people. */
export function reportText({
  sizeGib,
  uploadMinutes,
  bill,
  standing,
  perMonth,
  installation,
}: Report): string {
  const rate = (sizeGib * 1024) / (uploadMinutes * 60);
  const month = sumOf(standing);
  return [
    `One snapshot of ${sizeGib} GiB, uploaded in ${number(uploadMinutes)} minutes (${rate.toFixed(0)} MiB/s): ${dollars(bill.usd)}`,
    ...table(bill.lines),
    `  ${bill.walk.transitions} state transitions, ${bill.walk.events} events of the 25,000 that a history may have.`,
    `  The data goes from the host to Glance: no byte of it through AWS, out of which it would cost ${dollars(sizeGib * PRICES.egressGb.usd)}.`,
    '',
    `What stands each month, without any snapshot: ${dollars(month)}`,
    ...table(standing),
    `  Pools: ${installation.pools}; zones with endpoints: ${installation.zones}. Not counted: the VPN or gateway to the pools.`,
    '',
    `${number(perMonth)} such snapshots a month: ${dollars(perMonth * bill.usd)}; with what stands: ${dollars(month + perMonth * bill.usd)}`,
    '',
    `Prices of ${REGION} as of ${PRICES_OF}, most from third parties, no free tier (functions/cost/prices.ts); never compared with a bill (docs/aws.md).`,
  ].join('\n');
}

function table(lines: readonly Line[]): string[] {
  const rows = lines.map(({ service, quantity, unit, usd }) => [
    service,
    number(quantity),
    unit,
    dollars(usd),
  ]);
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map(
    ([service = '', quantity = '', unit = '', usd = '']) =>
      `  ${service.padEnd(widths[0] ?? 0)}  ${quantity.padStart(widths[1] ?? 0)} ${unit.padEnd(widths[2] ?? 0)}  ${usd.padStart(widths[3] ?? 0)}`,
  );
}

/** Cents where there are any, else as many digits as tell something. */
function dollars(usd: number): string {
  if (usd >= 1) return `$${usd.toFixed(2)}`;
  return `$${usd.toFixed(usd >= 0.01 ? 4 : 7)}`;
}

function number(value: number): string {
  if (value !== 0 && value < 0.01) return value.toExponential(1);
  return value.toLocaleString('en-US', { maximumFractionDigits: 2 });
}
