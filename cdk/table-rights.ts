import type { Table } from 'aws-cdk-lib/aws-dynamodb';

/** The statements for so many actions on the table and, to query them, on so many of its indexes. */
export type TableRights = (
  actions: readonly string[],
  indexes: readonly string[],
) => { actions: string[]; resources: string[] }[];

/** Rights on this table, none of them wider than what is asked. */
export function tableRights({ tableArn }: Table): TableRights {
  return (actions, indexes) => [
    ...(actions.length > 0
      ? [{ actions: actions.map((action) => `dynamodb:${action}`), resources: [tableArn] }]
      : []),
    ...(indexes.length > 0
      ? [{ actions: ['dynamodb:Query'], resources: indexes.map((index) => `${tableArn}/index/${index}`) }]
      : []),
  ];
}
