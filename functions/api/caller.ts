import type { Context } from 'hono';
import type { VmRecord } from '../../xapi/types.ts';
import type { Config, ProjectConfig } from '../config.ts';
import { XensnapError } from '../errors.ts';
import { ownsVm } from '../projects.ts';

/** Who asks. */
export interface Caller {
  /** Idempotency keys belong to it. */
  readonly id: string;
  /** The project that Keystone names and that the configuration knows; absent where all callers may do everything. */
  readonly project?: ProjectConfig & { readonly id: string };
}

/** What authorizer.ts hands on; API Gateway carries it from there to here. */
export interface AuthorizerContext {
  readonly projectId: string;
  readonly userId: string;
  readonly admin: boolean;
}

/** What an HTTP API's authorizers leave in an event of payload 2.0. */
interface Authorizers {
  readonly lambda?: Partial<AuthorizerContext> | null;
  readonly jwt?: { readonly claims?: Readonly<Record<string, unknown>> };
  readonly iam?: { readonly userArn?: string };
}

interface Bindings {
  readonly event?: { readonly requestContext?: { readonly authorizer?: Authorizers } };
}

/**
 * Who asks. Whoever reaches an API on this machine is `local`; in AWS, API Gateway has authorised the caller before.
 * @throws Unauthorized, Forbidden where the API is for projects and the caller is of none
 */
export function callerOf(c: Context, config: Config): Caller {
  const { event } = (c.env ?? {}) as Bindings;
  if (!event) return { id: 'local' };
  const { lambda, jwt, iam } = event.requestContext?.authorizer ?? {};
  if (lambda?.projectId !== undefined) return ofProject(lambda.projectId, lambda.userId ?? '', config);
  if (jwt) return { id: `jwt:${jwt.claims?.iss}:${jwt.claims?.sub ?? jwt.claims?.client_id}` };
  if (iam) return { id: `iam:${iam.userArn}` };
  throw new XensnapError('Unauthorized', 'The API does not know who asks.');
}

function ofProject(projectId: string, userId: string, { projects = {} }: Config): Caller {
  const project = Object.hasOwn(projects, projectId) ? projects[projectId] : undefined;
  if (project) return { id: `keystone:${projectId}:${userId}`, project: { id: projectId, ...project } };
  throw new XensnapError('Forbidden', 'Your project may not use this API.');
}

/** For what is not of one project. @throws Forbidden */
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
