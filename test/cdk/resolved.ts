import type { Resource, Synthesized } from './synth.ts';

/** Where a stack is deployed. */
export interface Place {
  readonly account: string;
  readonly region: string;
  /** What resources are called there, by their logical ids: what `Ref` gives, where a test has made them itself. */
  readonly called?: Readonly<Record<string, string>>;
}

/** The value that CloudFormation would put in the place of `Ref`, `Fn::Join` and their like, wherever they stand. */
export type Resolve = <T = unknown>(value: unknown) => T;

/**
 * Resolves a template's references as CloudFormation does in a place. What it does not know, a function or a resource
 * whose name it cannot tell, it refuses.
 */
export function resolverOf({ template }: Pick<Synthesized, 'template'>, place: Place): Resolve {
  const { account, region, called = {} } = place;
  const pseudo: Readonly<Record<string, string>> = {
    'AWS::AccountId': account,
    'AWS::Region': region,
    'AWS::Partition': 'aws',
    'AWS::StackId': `arn:aws:cloudformation:${region}:${account}:stack/xensnap/${STACK_UUID}`,
  };

  function resourceOf(id: string): Resource {
    const resource = template.Resources[id];
    if (!resource) throw new Error(`the template has no ${id}`);
    return resource;
  }

  function ref(id: string): string {
    const known = pseudo[id] ?? called[id];
    if (known !== undefined) return known;
    const { Type, Properties } = resourceOf(id);
    switch (Type) {
      case 'AWS::Lambda::Version':
        return `${resolve(arn(Properties.FunctionName.Ref))}:1`;
      case 'AWS::SQS::Queue':
        return `https://sqs.${region}.amazonaws.com/${account}/${queueName(id)}`;
      case 'AWS::StepFunctions::StateMachine':
        return `arn:aws:states:${region}:${account}:stateMachine:${id}`;
      case 'AWS::SecretsManager::Secret':
        return `arn:aws:secretsmanager:${region}:${account}:secret:${resolve(Properties.Name)}-AbCdEf`;
      default:
        return id;
    }
  }

  const queueName = (id: string) => {
    const { FifoQueue } = resourceOf(id).Properties;
    return called[id]?.split('/').at(-1) ?? (FifoQueue ? `${id}.fifo` : id);
  };

  function arn(id: string): string {
    const { Type } = resourceOf(id);
    const of = (service: string, rest: string) => `arn:aws:${service}:${region}:${account}:${rest}`;
    switch (Type) {
      case 'AWS::Lambda::Function':
        return of('lambda', `function:${ref(id)}`);
      case 'AWS::DynamoDB::Table':
        return of('dynamodb', `table/${ref(id)}`);
      case 'AWS::SQS::Queue':
        return of('sqs', queueName(id));
      case 'AWS::Logs::LogGroup':
        return of('logs', `log-group:${ref(id)}:*`);
      case 'AWS::IAM::Role':
        return `arn:aws:iam::${account}:role/${id}`;
      case 'AWS::Events::Rule':
        return of('events', `rule/${id}`);
      case 'AWS::Scheduler::ScheduleGroup':
        return of('scheduler', `schedule-group/${id}`);
      case 'AWS::StepFunctions::StateMachine':
        return ref(id);
      default:
        throw new Error(`what the ARN of ${id}, a ${Type}, is like, is not known here`);
    }
  }

  function attribute(id: string, name: string): string {
    if (name === 'Arn') return arn(id);
    if (name === 'Name' && resourceOf(id).Type === 'AWS::StepFunctions::StateMachine')
      return ref(id).split(':').at(-1) ?? '';
    if (name === 'QueueName') return queueName(id);
    throw new Error(`the attribute ${name} of ${id} is not known here`);
  }

  function call(name: string, argument: unknown): unknown {
    const [first, second] = Array.isArray(argument) ? argument : [];
    switch (name) {
      case 'Ref':
        return ref(String(argument));
      case 'Fn::GetAtt':
        return attribute(String(first), String(second));
      case 'Fn::Join':
        return resolve<string[]>(second).join(String(first));
      case 'Fn::Split':
        return resolve<string>(second).split(String(first));
      case 'Fn::Select':
        return resolve<unknown[]>(second)[Number(first)];
      default:
        throw new Error(`what ${name} gives is not known here`);
    }
  }

  function resolve<T>(value: unknown): T {
    return resolved(value) as T;
  }

  function resolved(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(resolved);
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value);
    const [[name = '', argument] = []] = entries;
    if (entries.length === 1 && (name === 'Ref' || name.startsWith('Fn::'))) return call(name, argument);
    return Object.fromEntries(entries.map(([key, inner]) => [key, resolved(inner)]));
  }
  return resolve;
}

const STACK_UUID = '7d0e2a10-3c5b-11f0-9a6e-0a1b2c3d4e5f';
