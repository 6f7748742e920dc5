import type { ProjectConfig } from './config.ts';

/** Whether a VM is the project's: by one of its tags in the pool, or by its name. */
export function ownsVm(
  { vmTags, vmNamePatterns }: ProjectConfig,
  vm: { readonly name_label: string; readonly tags: readonly string[] },
): boolean {
  return (
    vm.tags.some((tag) => vmTags.includes(tag)) ||
    vmNamePatterns.some((pattern) => fitsPattern(vm.name_label, pattern))
  );
}

/** Whether the name fits the pattern, in which `*` stands for any characters. */
export function fitsPattern(name: string, pattern: string): boolean {
  return new RegExp(`^${pattern.split('*').map(escaped).join('.*')}$`, 's').test(name);
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
