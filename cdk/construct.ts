import { Stack } from 'aws-cdk-lib';
import type { HttpApi } from 'aws-cdk-lib/aws-apigatewayv2';
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import type { Topic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { createAlarms } from './alarms.ts';
import { createApi } from './api.ts';
import { bundle } from './bundle.ts';
import { parseSettings } from './config.ts';
import { createDashboard } from './dashboard.ts';
import {
  createAdmission,
  createJanitor,
  createReconcile,
  createSchedules,
  createWakeLines,
} from './entries.ts';
import { reconcileFailures, scheduleJanitor, tickSchedules } from './events.ts';
import type { Surroundings } from './function.ts';
import { functionsConfig } from './functions-config.ts';
import { createNetwork } from './network.ts';
import { createFailureQueue, createHostQueue } from './queue.ts';
import { createSecrets } from './secrets.ts';
import { createStateMachines, type StateMachines } from './state-machine.ts';
import { createRetiredSteps, createSteps, STEP_ENTRIES } from './steps.ts';
import { createTable } from './table.ts';
import { tableRights } from './table-rights.ts';

/** The other functions' paths in functions/. */
const ENTRIES = ['queue/admit', 'queue/wake-lines', 'reconcile', 'janitor', 'schedules', 'api/handler'];

/** xensnap as a part of an app. The settings are those of cdk.json's context; see config.ts. */
export class Xensnap extends Construct {
  readonly api: HttpApi;
  readonly table: Table;
  readonly stateMachines: StateMachines;
  /** Told of every alarm. */
  readonly alarmTopic: Topic;

  /** Throws a ConfigurationError that names each wrong field of `settings`. */
  constructor(scope: Construct, id: string, settings: unknown) {
    super(scope, id);
    const parsed = parseSettings(settings);
    const config = functionsConfig(parsed);
    this.table = createTable(this, parsed);
    const surroundings: Surroundings = {
      settings: parsed,
      config,
      network: createNetwork(this, parsed),
      secrets: createSecrets(this, parsed),
      tableRights: tableRights(this.table),
      tableName: this.table.tableName,
    };
    const hostQueue = createHostQueue(this);
    const reconcileFailed = createFailureQueue(this, 'ReconcileFailures');
    const janitorFailed = createFailureQueue(this, 'JanitorFailures');
    const backupFailed = createFailureQueue(this, 'BackupFailures');

    // All at once, where they are needed: `cdk ls` and `cdk destroy` need none.
    if (Stack.of(this).bundlingRequired)
      bundle([
        ...STEP_ENTRIES,
        ...ENTRIES,
        ...(parsed.authorisation.type === 'keystone' ? ['api/authorizer'] : []),
      ]);
    const steps = createSteps(this, surroundings, hostQueue);
    const retired = createRetiredSteps(this, surroundings);
    const machines = createStateMachines(this, parsed, { steps, retired, hostQueue });
    this.stateMachines = machines;
    const admission = createAdmission(this, surroundings, { hostQueue, machines });
    const wakeLines = createWakeLines(this, surroundings, hostQueue);
    const reconcile = createReconcile(this, surroundings, machines, { failures: reconcileFailed, wakeLines });
    const janitor = createJanitor(this, surroundings, machines, { failures: janitorFailed, wakeLines });
    const schedules = createSchedules(this, surroundings, machines, backupFailed);
    const { api, functions } = createApi(this, surroundings, machines);
    this.api = api;
    reconcileFailures(this, machines, reconcile, reconcileFailed);
    scheduleJanitor(this, janitor, janitorFailed);
    tickSchedules(this, schedules, backupFailed);

    const watched = {
      hostQueue,
      table: this.table,
      machines: Object.values(machines),
      failures: {
        ReconcileFailed: reconcileFailed,
        JanitorFailed: janitorFailed,
        BackupFailed: backupFailed,
      },
      entries: [...functions, admission, wakeLines, reconcile, janitor, schedules],
      steps: [...Object.values(steps), ...retired],
    };
    const { topic, alarms } = createAlarms(this, parsed, watched);
    this.alarmTopic = topic;
    createDashboard(this, parsed, watched, alarms);
  }
}
