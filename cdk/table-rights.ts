import type { Table } from 'aws-cdk-lib/aws-dynamodb';

/** The statements for so many actions on the table and, to list by them, on so many of its indexes. */
export type TableRights = (
  actions: readonly string[],
  indexes: readonly string[],
) => { actions: string[]; resources: string[] }[];

/** Rights on this table, none of them wider than what is asked. An index holds keys: its items are read in the table. */
export function tableRights({ tableArn }: Table): TableRights {
  return (actions, indexes) => {
    const onTable = [...actions, ...(indexes.length > 0 ? ['BatchGetItem'] : [])];
    return [
      ...(onTable.length > 0
        ? [{ actions: onTable.map((action) => `dynamodb:${action}`), resources: [tableArn] }]
        : []),
      ...(indexes.length > 0
        ? [{ actions: ['dynamodb:Query'], resources: indexes.map((index) => `${tableArn}/index/${index}`) }]
        : []),
    ];
  };
}
