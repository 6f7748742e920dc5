import type { Resolve } from '../resolved.ts';
import { type Synthesized, target } from '../synth.ts';
import { decide, type Statement, UnknownInPolicyError } from './policy.ts';

/** A call of AWS: who makes it, and on what. */
export interface Call {
  /** A function or a state machine, by its path in the stack, such as `Admit`: it calls with its role. Or a service. */
  readonly caller: string;
  readonly action: string;
  readonly resource: string;
  /** For a service: on whose behalf it calls. */
  readonly sourceArn?: string;
  /** Made by Lambda itself with the function's role: not from where the function is in the network. */
  readonly byLambda?: true;
}

/** The policies of a stack, resolved, as AWS would look at them. */
export interface Rights {
  /** Why AWS would refuse a call; undefined for one that it lets pass. */
  refusal(call: Call): string | undefined;
  /** The role that a call is made with. */
  roleOf(call: Call): string | undefined;
  /** The actions that the policies of a caller's role allow, with what on. */
  granted(): readonly Grant[];
  /** The same rights without one that a role has. */
  without(grant: Grant): Rights;
}

export interface Grant {
  readonly role: string;
  readonly action: string;
  readonly resource: string;
}

interface Policies {
  readonly ofRoles: ReadonlyMap<string, readonly Statement[]>;
  readonly ofResources: readonly Statement[];
  /** By the service's name, such as `dynamodb`. */
  readonly ofEndpoints: ReadonlyMap<string, readonly Statement[]>;
}

/** What AWS would refuse of these calls, and why. */
export function refusals(calls: readonly Call[], rights: Rights): string[] {
  return calls.flatMap((call) => {
    const why = rights.refusal(call);
    return why === undefined ? [] : [`${call.caller} ${call.action} on ${call.resource}: ${why}`];
  });
}

/** The rights that none of these calls takes, a line each: with any other one taken away, some call is refused. */
export function idleRights(calls: readonly Call[], rights: Rights): string[] {
  const byRole = Map.groupBy(calls, rights.roleOf);
  return rights
    .granted()
    .filter((grant) => refusals(byRole.get(grant.role) ?? [], rights.without(grant)).length === 0)
    .map(
      ({ role, action, resource }) =>
        `${role.replace(/^Xensnap|[0-9A-F]{8}$/g, '')} ${action} on ${resource}`,
    );
}

const CALLERS = ['AWS::Lambda::Function', 'AWS::StepFunctions::StateMachine', 'AWS::Scheduler::Schedule'];

/** Reads the rights out of a template. */
export function rightsOf(stack: Synthesized, resolve: Resolve): Rights {
  const account = resolve<string>({ Ref: 'AWS::AccountId' });
  const callers = callersOf(stack);
  const rights = (policies: Policies): Rights => ({
    refusal: (call) => refusal(call, policies, callers, account),
    roleOf: ({ caller }) => callers.get(caller)?.role,
    granted: () =>
      [...policies.ofRoles].flatMap(([role, statements]) =>
        statements.flatMap(({ Action, Resource }) =>
          list(Action).flatMap((action) => list(Resource).map((resource) => ({ role, action, resource }))),
        ),
      ),
    without: (grant) => rights({ ...policies, ofRoles: withoutGrant(policies.ofRoles, grant) }),
  });
  return rights({
    ofRoles: rolePolicies(stack, resolve),
    ofResources: resourcePolicies(stack, resolve),
    ofEndpoints: endpointPolicies(stack, resolve),
  });
}

/** The role of each caller, and whether it is in the VPC. */
function callersOf(stack: Synthesized): ReadonlyMap<string, { role: string; inVpc: boolean }> {
  const found = CALLERS.flatMap((type) => Object.entries(stack.all(type)));
  return new Map(
    found.map(([path, { Properties }]) => {
      const role = Properties.Role ?? Properties.RoleArn ?? Properties.Target?.RoleArn;
      return [path, { role: target(role) ?? 'none', inVpc: Properties.VpcConfig !== undefined }];
    }),
  );
}

function refusal(
  { caller, action, resource, sourceArn, byLambda }: Call,
  { ofRoles, ofResources, ofEndpoints }: Policies,
  callers: ReturnType<typeof callersOf>,
  account: string,
): string | undefined {
  const secure = { 'aws:SecureTransport': 'true' };
  if (sourceArn !== undefined) {
    const context = { ...secure, 'aws:SourceArn': sourceArn, 'aws:SourceAccount': account };
    const decision = decide(ofResources, { action, resource, principal: caller, context });
    return decision === 'allowed' ? undefined : `${decision} by the policy of what it calls`;
  }
  const { role, inVpc } = callers.get(caller) ?? { role: 'none', inVpc: false };
  const principal = `arn:aws:iam::${account}:role/${role}`;
  const wish = { action, resource, principal, context: { ...secure, 'aws:PrincipalAccount': account } };
  if (decide(ofResources, wish) === 'denied') return 'denied by the policy of what it calls';
  const decision = decide(ofRoles.get(role) ?? [], wish);
  if (decision !== 'allowed') return `${decision} by the role ${role}`;
  if (!inVpc || byLambda) return undefined;
  const service = action.split(':')[0] ?? '';
  const endpoint = ofEndpoints.get(service);
  if (!endpoint) return `not reached: the VPC has no endpoint of ${service}`;
  const through = decide(endpoint, wish);
  return through === 'allowed' ? undefined : `${through} by the endpoint of ${service}`;
}

function rolePolicies(stack: Synthesized, resolve: Resolve): Policies['ofRoles'] {
  const found = new Map<string, Statement[]>();
  for (const { Properties } of Object.values(stack.all('AWS::IAM::Role')))
    if (Properties.ManagedPolicyArns || Properties.Policies || Properties.PermissionsBoundary)
      throw new UnknownInPolicyError('a role with policies of its own, managed policies or a boundary');
  for (const { Properties } of Object.values(stack.all('AWS::IAM::Policy')))
    for (const role of Properties.Roles.map(target))
      found.set(role, [...(found.get(role) ?? []), ...statementsOf(Properties.PolicyDocument, resolve)]);
  return found;
}

/** What queues, topics and functions say themselves. */
function resourcePolicies(stack: Synthesized, resolve: Resolve): Statement[] {
  const documents = ['AWS::SQS::QueuePolicy', 'AWS::SNS::TopicPolicy'].flatMap((type) =>
    Object.values(stack.all(type)).flatMap(({ Properties }) =>
      statementsOf(Properties.PolicyDocument, resolve),
    ),
  );
  const permissions = Object.values(stack.all('AWS::Lambda::Permission')).map(({ Properties }): Statement => {
    const { Action, FunctionName, Principal, SourceArn, ...rest } = Properties;
    const unknown = Object.keys(rest);
    if (unknown.length > 0) throw new UnknownInPolicyError(`a permission's ${unknown}`);
    return {
      Effect: 'Allow',
      Action,
      Resource: resolve<string>(FunctionName),
      Principal: { Service: Principal },
      ...(SourceArn && { Condition: { ArnLike: { 'aws:SourceArn': resolve<string>(SourceArn) } } }),
    };
  });
  return [...documents, ...permissions];
}

function endpointPolicies(stack: Synthesized, resolve: Resolve): Policies['ofEndpoints'] {
  const endpoints = Object.values(stack.all('AWS::EC2::VPCEndpoint'));
  return new Map(
    endpoints.map(({ Properties }) => [
      resolve<string>(Properties.ServiceName).split('.').at(-1) ?? '',
      statementsOf(Properties.PolicyDocument, resolve),
    ]),
  );
}

function statementsOf(document: { Statement: unknown }, resolve: Resolve): Statement[] {
  return resolve<Statement[]>(document.Statement);
}

function withoutGrant(ofRoles: Policies['ofRoles'], { role, action, resource }: Grant): Policies['ofRoles'] {
  const kept = (ofRoles.get(role) ?? []).flatMap((statement): Statement[] => {
    const [actions, resources] = [list(statement.Action), list(statement.Resource)];
    if (!actions.includes(action) || !resources.includes(resource)) return [statement];
    return [
      { ...statement, Action: actions.filter((each) => each !== action) },
      { ...statement, Action: action, Resource: resources.filter((each) => each !== resource) },
    ];
  });
  return new Map([...ofRoles, [role, kept]]);
}

function list(one: string | readonly string[]): readonly string[] {
  return typeof one === 'string' ? [one] : one;
}
