import type { Config, ProjectConfig } from './config.ts';
import { XensnapError } from './errors.ts';
import { globMatcher } from './glob.ts';

/** Whether a VM is the project's: by one of its tags in the pool, or by its name. */
export function ownsVm(
  { vmTags, vmNamePatterns }: Pick<ProjectConfig, 'vmTags' | 'vmNamePatterns'>,
  vm: { readonly name_label: string; readonly tags: readonly string[] },
): boolean {
  return (
    vm.tags.some((tag) => vmTags.includes(tag)) ||
    vmNamePatterns.some((pattern) => globMatcher(pattern)(vm.name_label))
  );
}

/**
 * Which VMs a project's jobs and schedules may touch; all without one.
 * @throws Forbidden where the configuration does not know the project any more
 */
export function allowedVms(
  project: string | undefined,
  { projects = {} }: Pick<Config, 'projects'>,
): (vm: { readonly name_label: string; readonly tags: readonly string[] }) => boolean {
  if (project === undefined) return () => true;
  const known = Object.hasOwn(projects, project) ? projects[project] : undefined;
  if (!known) throw new XensnapError('Forbidden', `The configuration has no project ${project} any more.`);
  return (vm) => known.admin || ownsVm(known, vm);
}

/**
 * What a project may use when it restores, by UUID; undefined where there is no limit: for an admin's, and where the API
 * is not for projects.
 * @throws Forbidden for a project whose configuration does not say that it may
 */
export function allowedToRestore(
  project: string | undefined,
  { projects = {} }: Pick<Config, 'projects'>,
): NonNullable<ProjectConfig['restore']> | undefined {
  if (project === undefined) return undefined;
  const known = Object.hasOwn(projects, project) ? projects[project] : undefined;
  if (known?.admin) return undefined;
  if (known?.restore) return known.restore;
  throw new XensnapError('Forbidden', 'Your project may not restore images.');
}
