import { Duration } from 'aws-cdk-lib';
import { type IMetric, MathExpression, Metric } from 'aws-cdk-lib/aws-cloudwatch';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { TABLE } from '../functions/store/table.ts';
import type { Sign, Watched } from './watched.ts';

/** An alarm can add up ten metrics at most. */
const METRICS_IN_ALARM = 10;
/** A step that fails is tried again; below this it is the pool's or Glance's daily life. */
const STEP_ERRORS = 10;
/** What AWS throttles is tried again as well; below this it is a moment, above it a quota that is too small. */
const THROTTLES = 10;

const period = Duration.minutes(5);

export function stepErrors(steps: readonly LambdaFunction[]): Record<string, Sign> {
  const signs: Record<string, Sign> = {};
  for (let from = 0; from < steps.length; from += METRICS_IN_ALARM) {
    const some = steps.slice(from, from + METRICS_IN_ALARM);
    signs[`StepErrorsFrom${some[0]?.node.id}`] = {
      metric: sumOf(some.map((step) => step.metricErrors({ period }))),
      above: STEP_ERRORS,
      description: `Steps fail again and again: ${some.map(({ node }) => node.id).join(', ')}.`,
    };
  }
  return signs;
}

/** Calls that AWS turned away, of Lambda, of Step Functions and of the table. Each metric in an alarm is paid for. */
export function throttles({ machines, table }: Watched): Record<string, Sign> {
  const ofTable = (metricName: string, index?: string) =>
    new Metric({
      namespace: 'AWS/DynamoDB',
      metricName,
      statistic: 'Sum',
      period,
      dimensionsMap: {
        TableName: table.tableName,
        ...(index !== undefined && { GlobalSecondaryIndexName: index }),
      },
    });
  return {
    FunctionsThrottled: {
      // Of all functions of the account and region: what is too small is theirs together.
      metric: new Metric({ namespace: 'AWS/Lambda', metricName: 'Throttles', statistic: 'Sum', period }),
      above: THROTTLES,
      description:
        'Lambda turns calls away: too many run at once in this account and region. Have AWS raise the quota "Concurrent executions".',
    },
    ExecutionsThrottled: {
      metric: sumOf(machines.map((machine) => machine.metricThrottled({ period }))),
      above: THROTTLES,
      description:
        'Step Functions holds executions up: too many states are entered at once in this account and region. Have AWS raise the quota "StateTransition throttle token refill rate".',
    },
    TableThrottled: {
      metric: sumOf([
        ofTable('ReadThrottleEvents'),
        ofTable('WriteThrottleEvents'),
        // An index that takes no more writes holds up those of the table.
        ...Object.keys(TABLE.indexes).map((index) => ofTable('WriteThrottleEvents', index)),
      ]),
      above: THROTTLES,
      description: 'DynamoDB turns reads or writes of the table away.',
    },
  };
}

function sumOf(metrics: readonly IMetric[]): IMetric {
  const usingMetrics = Object.fromEntries(metrics.map((each, index) => [`m${index}`, each]));
  return new MathExpression({
    // A metric that nothing was written of is nothing, and so would the sum be.
    expression: Object.keys(usingMetrics)
      .map((id) => `FILL(${id}, 0)`)
      .join(' + '),
    usingMetrics,
    period,
    label: 'sum',
  });
}
