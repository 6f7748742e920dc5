import { RemovalPolicy } from 'aws-cdk-lib';
import { AttributeType, BillingMode, ProjectionType, Table, TableEncryption } from 'aws-cdk-lib/aws-dynamodb';
import type { Construct } from 'constructs';
import { TABLE } from '../functions/store/table.ts';
import type { Settings } from './config.ts';

const text = (name: string) => ({ name, type: AttributeType.STRING });

/** The jobs, leases and slots. Kept on `cdk destroy` unless the configuration says otherwise. */
export function createTable(scope: Construct, { retain }: Settings): Table {
  const kept = retain.table === 'retain';
  const table = new Table(scope, 'Table', {
    partitionKey: text(TABLE.key),
    billingMode: BillingMode.PAY_PER_REQUEST,
    encryption: TableEncryption.AWS_MANAGED,
    pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
    timeToLiveAttribute: TABLE.ttl,
    deletionProtection: kept,
    removalPolicy: kept ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
  });
  for (const [indexName, key] of Object.entries(TABLE.indexes))
    table.addGlobalSecondaryIndex({
      indexName,
      partitionKey: text(key),
      sortKey: text(TABLE.sortKey),
      projectionType: ProjectionType.KEYS_ONLY,
    });
  return table;
}
