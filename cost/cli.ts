#!/usr/bin/env node
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { billOf } from '../functions/cost/bill.ts';
import { PLAIN_JOB } from '../functions/cost/model.ts';
import { type Report, reportJson, reportText } from './report.ts';
import { INSTALLATION, standingLines } from './standing.ts';

/** A transfer that many pools reach, where no duration is given. */
const USUAL_MIB_A_SECOND = 60;

interface Options {
  readonly sizeGib: number;
  readonly uploadMinutes?: number;
  readonly snapshotSeconds: number;
  readonly coalesceLooks: number;
  readonly queueMinutes: number;
  readonly looks?: number;
  readonly perMonth: number;
  readonly pools: number;
  readonly zones: number;
  readonly alarmMetrics: number;
  readonly json?: boolean;
}

const atLeast =
  (least: number, whole = false) =>
  (text: string): number => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (Number.isFinite(value) && value >= least && (!whole || Number.isInteger(value))) return value;
    throw new InvalidArgumentError(`It must be a ${whole ? 'whole ' : ''}number of at least ${least}.`);
  };

const program = new Command('npm run cost --')
  .description('Works out what a snapshot costs in AWS, by service, and beside it what stands each month.')
  .option('--size-gib <n>', "the VM's root disk", atLeast(0.001), 40)
  .option(
    '--upload-minutes <n>',
    `how long its upload takes (default: at ${USUAL_MIB_A_SECOND} MiB/s)`,
    atLeast(0.01),
  )
  .option(
    '--snapshot-seconds <n>',
    'until the pool has made the snapshot',
    atLeast(0),
    PLAIN_JOB.snapshotSeconds,
  )
  .option('--coalesce-looks <n>', "looks at the disk's chain", atLeast(1, true), PLAIN_JOB.coalesceLooks)
  .option('--queue-minutes <n>', "at the head of the host's line", atLeast(0), 0)
  .option('--looks <n>', "the caller's looks at the job (default: one a minute)", atLeast(0, true))
  .option('--per-month <n>', 'such snapshots a month', atLeast(0, true), 1000)
  .option('--pools <n>', 'pools, each with a secret', atLeast(1, true), INSTALLATION.pools)
  .option('--zones <n>', 'availability zones with interface endpoints', atLeast(1, true), INSTALLATION.zones)
  .option('--alarm-metrics <n>', 'metrics that alarms look at', atLeast(0, true), INSTALLATION.alarmMetrics)
  .option('--json', 'print one JSON document, for scripts')
  .helpOption('-h, --help', 'show this help')
  .allowExcessArguments(false)
  .exitOverride()
  .addHelpText('after', '\nExample:\n  $ npm run cost -- --size-gib 40 --upload-minutes 20');

/** An upload of more than this is given up: uploadMaxSeconds of the configuration. */
const MOST_MINUTES = 72 * 60;

function reportOf(options: Options): Report {
  const { sizeGib, pools, zones, alarmMetrics, perMonth } = options;
  const uploadMinutes = options.uploadMinutes ?? (sizeGib * 1024) / USUAL_MIB_A_SECOND / 60;
  if (uploadMinutes > MOST_MINUTES)
    program.error('error: an upload of more than 72 hours is given up, so that it has no price.', {
      exitCode: 2,
    });
  const installation = { ...INSTALLATION, pools, zones, alarmMetrics };
  const model = {
    ...PLAIN_JOB,
    uploadSeconds: uploadMinutes * 60,
    snapshotSeconds: options.snapshotSeconds,
    coalesceLooks: options.coalesceLooks,
    queueSeconds: options.queueMinutes * 60,
    headSeconds: options.queueMinutes * 60,
    looks: options.looks ?? Math.ceil(uploadMinutes),
  };
  const standing = standingLines(installation);
  return { sizeGib, uploadMinutes, bill: billOf(model), standing, installation, perMonth };
}

try {
  program.parse();
  const options = program.opts<Options>();
  const report = reportOf(options);
  const text = options.json ? JSON.stringify(reportJson(report), null, 2) : reportText(report);
  process.stdout.write(`${text}\n`);
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : 2;
}
