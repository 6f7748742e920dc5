import { CommandFailure } from '../failures.ts';
import { type Aws, refusalOf } from './aws.ts';

interface Resource {
  readonly LogicalResourceId: string;
  readonly PhysicalResourceId: string;
  readonly ResourceType: string;
}

/** A stack of xensnap's as it is deployed. */
export interface Deployed {
  readonly name: string;
  readonly status: string;
  /** Without a slash at its end. */
  readonly apiUrl: string;
  /** The physical names of a type's resources by the names that they have in cdk/; those of CDK's own are left out. */
  all(type: string): ReadonlyMap<string, string>;
  /** The physical name of one. @throws CommandFailure when the stack has none */
  one(type: string, name: string): string;
}

/** @throws CommandFailure when there is no such stack, or it is none of xensnap's */
export async function findStack(aws: Aws, name: string): Promise<Deployed> {
  const describe = aws<{
    Stacks: { StackStatus: string; Outputs?: { OutputKey: string; OutputValue: string }[] }[];
  }>('cloudformation', 'describe-stacks', '--stack-name', name);
  const refused = await refusalOf(describe);
  if (refused === 'ValidationError')
    throw new CommandFailure(`there is no stack ${name} in this account and region`);
  const [stack] = (await describe).Stacks;
  const url = stack?.Outputs?.find(({ OutputKey }) => OutputKey.includes('ApiUrl'))?.OutputValue;
  if (!stack || url === undefined)
    throw new CommandFailure(`the stack ${name} has no output ApiUrl: is it xensnap's?`);
  const { StackResourceSummaries: resources } = await aws<{ StackResourceSummaries: Resource[] }>(
    'cloudformation',
    'list-stack-resources',
    '--stack-name',
    name,
  );
  const all = (type: string) =>
    new Map(
      resources
        .filter(({ ResourceType }) => ResourceType === type)
        .map(
          ({ LogicalResourceId, PhysicalResourceId }) =>
            [nameInCdk(LogicalResourceId), PhysicalResourceId] as const,
        )
        .filter((pair): pair is [string, string] => pair[0] !== undefined),
    );
  return {
    name,
    status: stack.StackStatus,
    apiUrl: url.endsWith('/') ? url.slice(0, -1) : url,
    all,
    one(type, wanted) {
      const found = all(type).get(wanted);
      if (found === undefined) throw new CommandFailure(`the stack ${name} has no ${type} named ${wanted}`);
      return found;
    },
  };
}

/** CDK's logical ids are the path, and eight digits of its hash. */
function nameInCdk(logicalId: string): string | undefined {
  return /^Xensnap(\w+)[0-9A-F]{8}$/.exec(logicalId)?.[1];
}
