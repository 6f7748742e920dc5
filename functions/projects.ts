import type { ProjectConfig } from './config.ts';
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
