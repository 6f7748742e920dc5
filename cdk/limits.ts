import { readFileSync } from 'node:fs';
import type {
  IPolicyValidationContext,
  IPolicyValidationPlugin,
  PolicyValidationPluginReport,
} from 'aws-cdk-lib';

/** How much a template uses of what AWS grants. */
export interface Used {
  /** What is counted, and where the most of it is. */
  readonly what: string;
  readonly used: number;
  /** AWS's hard limit; none of these can be raised. */
  readonly limit: number;
}

interface Template {
  readonly Resources: Readonly<
    Record<string, { readonly Type: string; readonly Properties?: Record<string, unknown> }>
  >;
  readonly Outputs?: object;
}

/**
 * The limits that grow with the settings, and what a template uses of each. Sources: "CloudFormation quotas", "IAM and
 * STS quotas" (inline policies of a role together, without white space), "Lambda quotas", "Step Functions quotas".
 */
export function limitsOf(template: Template): readonly Used[] {
  const entries = Object.entries(template.Resources);
  const most = (what: string, limit: number, sizes: ReadonlyMap<string, number>): Used => {
    const [where, used] = [...sizes].reduce((a, b) => (b[1] > a[1] ? b : a), ['none', 0]);
    return { what: `${what} (${where})`, used, limit };
  };
  const ofType = (type: string) => entries.filter(([, { Type }]) => Type === type);
  const sizes = (type: string, property: string) =>
    new Map(ofType(type).map(([id, { Properties }]) => [id, lengthOf(Properties?.[property])]));
  const policies = new Map<string, number>();
  for (const [, { Properties }] of ofType('AWS::IAM::Policy'))
    for (const role of (Properties?.Roles ?? []) as unknown[])
      policies.set(name(role), (policies.get(name(role)) ?? 0) + lengthOf(Properties?.PolicyDocument));
  return [
    { what: 'resources', used: entries.length, limit: 500 },
    { what: 'outputs', used: Object.keys(template.Outputs ?? {}).length, limit: 200 },
    { what: 'bytes of the template', used: JSON.stringify(template).length, limit: 1_000_000 },
    most('bytes of an environment', 4096, sizes('AWS::Lambda::Function', 'Environment')),
    most("characters of a role's policies", 10_240, policies),
    most('bytes of a definition', 1_000_000, sizes('AWS::StepFunctions::StateMachine', 'DefinitionString')),
  ];
}

/** Refuses, at synth, a template that CloudFormation would refuse in the middle of a deployment. */
export class TemplateLimits implements IPolicyValidationPlugin {
  readonly name = 'Limits of AWS';

  validate({ templatePaths }: IPolicyValidationContext): PolicyValidationPluginReport {
    const violations = templatePaths.flatMap((templatePath) =>
      limitsOf(JSON.parse(readFileSync(templatePath, 'utf8')))
        .filter(({ used, limit }) => used > limit)
        .map(({ what, used, limit }) => ({
          ruleName: what,
          description: `${used} ${what}, and AWS takes ${limit}.`,
          fix: 'Divide the pools among two installations, each with a settings file and a name of its own.',
          violatingResources: [{ locations: [], templatePath, constructPath: 'Xensnap' }],
        })),
    );
    return { success: violations.length === 0, violations };
  }
}

/**
 * What an id or ARN that CloudFormation puts in may come to: that of the table has 58 characters and a name out of the
 * stack's (48), its own and CloudFormation's. A log group's is longer still, of which a role names one, and all else shorter.
 */
const REFERENCE = 'x'.repeat(145);
const PSEUDO: Readonly<Record<string, string>> = {
  'AWS::AccountId': '123456789012',
  'AWS::Partition': 'aws-us-gov',
  'AWS::Region': 'ap-southeast-1',
  'AWS::URLSuffix': 'amazonaws.com.cn',
};

/** Characters of a value once CloudFormation has put in what it refers to. */
function lengthOf(value: unknown): number {
  const resolved = resolve(value);
  return (typeof resolved === 'string' ? resolved : JSON.stringify(resolved ?? '')).length;
}

function resolve(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(resolve);
  if (typeof value !== 'object' || value === null) return value;
  const fields = value as Record<string, unknown>;
  if ('Fn::Join' in fields) {
    const [by, parts] = fields['Fn::Join'] as [string, unknown[]];
    return parts.map((part) => String(resolve(part))).join(by);
  }
  if (typeof fields.Ref === 'string') return PSEUDO[fields.Ref] ?? REFERENCE;
  if (Object.keys(fields).some((key) => key.startsWith('Fn::'))) return REFERENCE;
  return Object.fromEntries(Object.entries(fields).map(([key, content]) => [key, resolve(content)]));
}

function name(role: unknown): string {
  return (role as { readonly Ref?: string }).Ref ?? JSON.stringify(role);
}
