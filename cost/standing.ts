import { type Line, linesOf } from '../functions/cost/bill.ts';
import { HOURS_A_MONTH } from '../functions/cost/prices.ts';
import { LOG_BYTES_A_RUN } from '../functions/cost/step-use.ts';
import { STEPS } from '../statemachine/contract.ts';

/** What is there whether or not a snapshot is taken. */
export interface Installation {
  readonly pools: number;
  /** Availability zones in which the interface endpoints stand. */
  readonly zones: number;
  /** Services that the functions in the VPC reach through an interface endpoint: states and secretsmanager. */
  readonly endpoints: number;
  /** Metrics that the alarms look at: an alarm that adds up several is charged for each. */
  readonly alarmMetrics: number;
  readonly dashboards: number;
  /** Each combination of a metric's name and dimensions, as the dashboard shows them. */
  readonly metrics: number;
  /** Jobs in the table, with their copies in the indexes and the backups for recovery. */
  readonly tableGb: number;
}

/** Each step has its errors looked at, and its seconds measured. */
const STEPS_COUNT = Object.keys(STEPS).length;

/**
 * As the stack stands with its defaults, which a test compares with its template. The VPN or gateway to the pools is
 * not counted, nor is a NAT: there is none.
 */
export const INSTALLATION: Installation = {
  pools: 1,
  zones: 2,
  endpoints: 2,
  alarmMetrics: 28 + STEPS_COUNT,
  dashboards: 1,
  metrics: 19 + STEPS_COUNT,
  tableGb: 0.1,
};

const MINUTES_A_MONTH = HOURS_A_MONTH * 60;
/** The janitor looks through every pool: a few seconds every 15 minutes. */
export const JANITOR = { minutes: 15, seconds: 4, memoryMib: 1024 };
/** The look at the schedules, which mostly finds nothing due. It starts no trace. */
export const TICK = { minutes: 1, seconds: 0.1, memoryMib: 1024 };
/** Queues that Lambda asks for messages. */
export const CONSUMERS = 1;
/** It asks an empty queue too: long polls of 20 s, by five pollers for each consumer (not documented for FIFO). */
const POLLS_A_MONTH = CONSUMERS * 5 * 3 * MINUTES_A_MONTH;

/** What stands each month, by service. */
export function standingLines(installation: Installation): Line[] {
  const { pools, zones, endpoints, alarmMetrics, dashboards, metrics, tableGb } = installation;
  const rounds = MINUTES_A_MONTH / JANITOR.minutes;
  const ticks = MINUTES_A_MONTH / TICK.minutes;
  return linesOf({
    endpointHour: endpoints * zones * HOURS_A_MONTH,
    // Each pool's, and Glance's.
    secretMonth: pools + 1,
    secretRead: rounds * (pools + 1),
    alarmMonth: alarmMetrics,
    dashboardMonth: dashboards,
    metricMonth: metrics,
    queueRequest: POLLS_A_MONTH,
    lambdaRequest: rounds + ticks,
    trace: rounds,
    lambdaGbSecond:
      (rounds * pools * JANITOR.seconds * JANITOR.memoryMib + ticks * TICK.seconds * TICK.memoryMib) / 1024,
    // The janitor's report and its look at the open jobs; a tick's mark, and its looks at what is due, what waits and what runs.
    tableWrite: rounds + ticks,
    tableRead: rounds + 3 * ticks,
    logGb: ((rounds + ticks) * LOG_BYTES_A_RUN) / 1e9,
    tableGbMonth: tableGb,
  });
}
