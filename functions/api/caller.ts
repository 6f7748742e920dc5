import type { Context } from 'hono';
import { shorten } from '../../glance/shorten.ts';
import type { VmRecord } from '../../xapi/types.ts';
import type { Config, ProjectConfig } from '../config.ts';
import { XensnapError } from '../errors.ts';
import { ownsVm } from '../projects.ts';
import type { Role } from './roles.ts';

/** Who asks. */
export interface Caller {
  /** Idempotency keys belong to it: no two callers have the same. */
  readonly id: string;
  /** Who it is, for people and for the log: `keystone:<user>@<project id>`, `jwt:<sub>`, `iam:<arn>` or `local`. */
  readonly actor: string;
  /** What the roles of a Keystone token amount to; `admin` for everybody else. */
  readonly role: Role;
  /** The project that Keystone names and that the configuration knows; absent where all callers may do everything. */
  readonly project?: ProjectConfig & { readonly id: string };
}

/** What authorizer.ts hands on; API Gateway carries it from there to here. */
export interface AuthorizerContext {
  readonly projectId: string;
  readonly userId: string;
  readonly userName?: string;
  readonly admin: boolean;
  readonly role: Role;
  /** When the token ends, ISO 8601 UTC: API Gateway may hand this on for longer. */
  readonly expiresAt: string;
}

/** What an HTTP API's authorizers leave in an event of payload 2.0. */
interface Authorizers {
  readonly lambda?: Partial<AuthorizerContext> | null;
  readonly jwt?: { readonly claims?: Readonly<Record<string, unknown>> };
  readonly iam?: {
    readonly userArn?: string;
    readonly userId?: string;
    /** Where Cognito gives out credentials, one role's ARN stands for everybody. */
    readonly cognitoIdentity?: { readonly identityId?: string } | null;
  };
}

interface Bindings {
  readonly event?: { readonly requestContext?: { readonly authorizer?: Authorizers } };
}

/**
 * Who asks. Whoever reaches an API on this machine is `local`; in AWS, API Gateway has authorised the caller before.
 * @throws Unauthorized, Forbidden where the API is for projects and the caller is of none
 */
export function callerOf(c: Context, config: Config): Caller {
  if (!eventOf(c)) return { id: 'local', actor: 'local', role: 'admin' };
  const lambda = ofAuthorizer(c);
  const { jwt, iam } = eventOf(c)?.requestContext?.authorizer ?? {};
  if (lambda?.projectId !== undefined) return ofProject({ ...lambda, projectId: lambda.projectId }, config);
  const caller = (jwt && ofJwt(jwt)) ?? (iam && ofIam(iam));
  if (caller) return caller;
  throw new XensnapError('Unauthorized', 'The API does not know who asks.');
}

/** What authorizer.ts said of who asks, now or some time ago; undefined where it was not asked. */
export function ofAuthorizer(c: Context): Partial<AuthorizerContext> | undefined {
  return eventOf(c)?.requestContext?.authorizer?.lambda ?? undefined;
}

function eventOf(c: Context): Bindings['event'] {
  return ((c.env ?? {}) as Bindings).event;
}

function ofProject(
  { projectId, userId, userName, role = 'reader' }: Partial<AuthorizerContext> & { projectId: string },
  { projects = {} }: Config,
): Caller {
  const project = Object.hasOwn(projects, projectId) ? projects[projectId] : undefined;
  if (!project) throw new XensnapError('Forbidden', 'Your project may not use this API.');
  return {
    id: framed('keystone', projectId, userId),
    actor: actorText(`keystone:${userName ?? userId}@${projectId}`),
    role,
    project: { id: projectId, ...project },
  };
}

/** A machine's token may have no `sub`, and its `client_id` is not another's `sub` (RFC 9068). */
function ofJwt({ claims = {} }: NonNullable<Authorizers['jwt']>): Caller | undefined {
  const { iss, sub, client_id: client } = claims;
  const subject = sub ?? client;
  if (subject === undefined) return undefined;
  return {
    id: framed('jwt', iss, sub === undefined ? 'client_id' : 'sub', subject),
    actor: actorText(`jwt:${subject}`),
    role: 'admin',
  };
}

/** The ARN of an assumed role ends with its session's name: each is a caller of its own. */
function ofIam({ userArn, userId, cognitoIdentity }: NonNullable<Authorizers['iam']>): Caller | undefined {
  if (userArn === undefined) return undefined;
  const identity = cognitoIdentity?.identityId;
  return {
    id: framed('iam', userArn, userId, identity),
    actor: actorText(identity === undefined ? `iam:${userArn}` : `iam:${userArn}/${identity}`),
    role: 'admin',
  };
}

/** Several texts as one that no other texts make. */
function framed(...texts: readonly unknown[]): string {
  return JSON.stringify(texts.map((text) => text ?? null));
}

const MOST_ACTOR_CHARACTERS = 256;

/** A name that others have given, fit for a line of a log or of a table: nothing invisible, and not for ever. */
function actorText(text: string): string {
  const printable = text.toWellFormed().replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '\ufffd');
  return shorten(printable, MOST_ACTOR_CHARACTERS);
}

/** What a wish takes over from who has it: who asked, the project, and the VMs that may be touched. */
export function onBehalfOf(caller: Caller) {
  return {
    actor: caller.actor,
    ...(caller.project && { project: caller.project.id }),
    allows: (vm: Parameters<typeof mayTouch>[1]) => mayTouch(caller, vm),
  };
}

/** Refuses callers of a project what does not belong to one. @throws Forbidden */
export function requireAdmin({ project }: Caller): void {
  if (project?.admin === false)
    throw new XensnapError('Forbidden', 'This is for projects that the configuration calls "admin".');
}

/** The project to which a caller is confined, if any. */
export function confinedTo({ project }: Caller): NonNullable<Caller['project']> | undefined {
  return project?.admin ? undefined : project;
}

/** Whether a caller may touch a VM. */
export function mayTouch(caller: Caller, vm: Pick<VmRecord, 'name_label' | 'tags'>): boolean {
  const confines = confinedTo(caller);
  return !confines || ownsVm(confines, vm);
}
