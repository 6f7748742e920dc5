import { XensnapError } from './errors.ts';
import type { BaseRuntime } from './runtime/base.ts';
import type { CounterKey } from './store/counters.ts';
import type { Store } from './store.ts';

type Kind = 'schedules' | 'jobs';
type Deps = Pick<BaseRuntime, 'config' | 'clock'> & { readonly store: Store };

const WORDS = {
  schedules: { setting: 'maxSchedules', what: 'schedules', mend: 'Remove some' },
  jobs: { setting: 'maxOpenJobs', what: 'jobs that are not over', mend: 'Wait for some to end' },
} as const;

/** All of a kind are counted so often at most; between two counts, those that come are added. */
const COUNT_SECONDS = 60;

/** The last count of a kind, and those that have come since, by id, so that one that fails can be taken off again. */
interface Count {
  readonly until: number;
  readonly counted: Promise<number>;
  readonly since: Set<string>;
}
const counts = new WeakMap<Store, Map<Kind, Count>>();

/**
 * Takes a place among those that there may be: of the caller's project, exactly, and of all callers together, within a
 * minute. Whoever has it already keeps it; what was taken for nothing goes back with {@link giveBack}.
 * @throws QuotaExceeded
 */
export async function takeQuota(
  kind: Kind,
  project: string | undefined,
  id: string,
  deps: Deps,
): Promise<void> {
  const { store, config } = deps;
  const { setting } = WORDS[kind];
  const { counted, since } = countOf(kind, deps);
  const count = await counted;
  // Between this look and the next line nobody else comes: of many at once, one gets the last place.
  if (!since.has(id) && count + since.size >= config[setting])
    throw exceeded(kind, 'This installation', config[setting]);
  since.add(id);
  const projects = config.projects ?? {};
  const known = project !== undefined && Object.hasOwn(projects, project) ? projects[project] : undefined;
  if (project === undefined || !known) return;
  try {
    if (await store.counters.take(quotaOf(kind, project), id, known[setting])) return;
  } catch (error) {
    since.delete(id);
    throw error;
  }
  since.delete(id);
  throw exceeded(kind, 'Your project', known[setting]);
}

/** Gives a place back, or one that was never taken. */
export async function giveBack(
  kind: Kind,
  project: string | undefined,
  id: string,
  { store }: Pick<Deps, 'store'>,
): Promise<void> {
  counts.get(store)?.get(kind)?.since.delete(id);
  if (project !== undefined) await store.counters.release(quotaOf(kind, project), id);
}

/** Where the places of a project's schedules or open jobs are. */
export function quotaOf(kind: Kind, project: string): CounterKey {
  return `${kind}#${project}`;
}

function countOf(kind: Kind, { store, clock }: Deps): Count {
  const ofStore = counts.get(store) ?? new Map<Kind, Count>();
  counts.set(store, ofStore);
  const now = clock.now().getTime();
  const kept = ofStore.get(kind);
  if (kept && now < kept.until) return kept;
  // One caller counts, and those that come meanwhile wait for its count.
  const counted = kind === 'jobs' ? store.jobs.countOpen() : store.schedules.count();
  const fresh = { until: now + COUNT_SECONDS * 1000, counted, since: new Set<string>() };
  ofStore.set(kind, fresh);
  counted.catch(() => ofStore.get(kind) === fresh && ofStore.delete(kind));
  return fresh;
}

function exceeded(kind: Kind, who: string, most: number): XensnapError {
  const { setting, what, mend } = WORDS[kind];
  return new XensnapError(
    'QuotaExceeded',
    `${who} may have ${most} ${what} at a time, and has them. ${mend}, or have ${setting} raised in the configuration.`,
  );
}
