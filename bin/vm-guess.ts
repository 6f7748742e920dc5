import type { VmView } from '../functions/api/vm-view.ts';
import type { ApiClient } from './client.ts';
import { ApiRefused } from './failures.ts';
import { printable } from './format.ts';
import { everyAnswer } from './pages.ts';

const MOST_NAMED = 3;

/** Sends a request that names a VM; where there is none of that name, says which the caller may have meant. */
export async function guessingVm<T>(client: ApiClient, name: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof ApiRefused) || error.refusal.name !== 'VmNotFound') throw error;
    const names = await likeIt(client, name);
    if (names.length === 0) throw error;
    const meant = names.map((each) => JSON.stringify(printable(each))).join(' or ');
    throw new ApiRefused(`${error.message} Did you mean ${meant}?`, error.status, error.refusal);
  }
}

/** Names of VMs that differ in nothing but case, spaces and punctuation, else those that begin with it. */
async function likeIt(client: ApiClient, name: string): Promise<string[]> {
  const wanted = core(name);
  if (wanted === '') return [];
  // That there is none has been said: whatever keeps the list from being read is not worth a word.
  const pages = await everyAnswer<{ vms: VmView[]; next: string | null }>(client, '/vms').catch(() => []);
  const names = [...new Set(pages.flatMap(({ vms }) => vms.map((vm) => vm.name)))];
  const same = names.filter((each) => core(each) === wanted);
  return (same.length > 0 ? same : names.filter((each) => core(each).startsWith(wanted))).slice(
    0,
    MOST_NAMED,
  );
}

function core(name: string): string {
  return name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');
}
