import { XensnapError } from './errors.ts';
import type { BaseRuntime } from './runtime/base.ts';
import type { SlotPlace } from './store/slots.ts';
import type { Store } from './store.ts';

type Kind = 'schedules' | 'jobs';
type Deps = Pick<BaseRuntime, 'store' | 'config' | 'clock'>;

const WORDS = {
  schedules: { setting: 'maxSchedules', what: 'schedules', mend: 'Remove some' },
  jobs: { setting: 'maxOpenJobs', what: 'jobs that are not over', mend: 'Wait for some to end' },
} as const;

/** All of a kind are counted so often at most; between two counts, those that come are added. */
const COUNT_SECONDS = 60;
const counts = new WeakMap<Store, Map<Kind, { until: number; count: number }>>();

/**
 * Takes a place among those that there may be: of the caller's project, exactly, and of all callers together, within a
 * minute. Whoever has it already keeps it; what was taken for nothing goes back with {@link giveBack}.
 * @throws QuotaExceeded
 */
export async function takePlace(
  kind: Kind,
  project: string | undefined,
  id: string,
  deps: Deps,
): Promise<void> {
  const { store, config } = deps;
  const { setting } = WORDS[kind];
  const counted = await countOf(kind, deps);
  if (counted.count >= config[setting]) throw exceeded(kind, 'This installation', config[setting]);
  const projects = config.projects ?? {};
  const known = project !== undefined && Object.hasOwn(projects, project) ? projects[project] : undefined;
  if (project !== undefined && known && !(await store.slots.take(placeOf(kind, project), id, known[setting])))
    throw exceeded(kind, 'Your project', known[setting]);
  counted.count++;
}

/** Gives a place back, or one that was never taken. */
export async function giveBack(
  kind: Kind,
  project: string | undefined,
  id: string,
  { store }: Pick<Deps, 'store'>,
): Promise<void> {
  if (project !== undefined) await store.slots.release(placeOf(kind, project), id);
}

/** Where the places of a project's schedules or open jobs are. */
export function placeOf(kind: Kind, project: string): SlotPlace {
  return `${kind}#${project}`;
}

async function countOf(kind: Kind, { store, clock }: Deps): Promise<{ count: number }> {
  const ofStore = counts.get(store) ?? new Map<Kind, { until: number; count: number }>();
  counts.set(store, ofStore);
  const now = clock.now().getTime();
  const kept = ofStore.get(kind);
  if (kept && now < kept.until) return kept;
  const count = kind === 'jobs' ? await store.jobs.countOpen() : await store.schedules.count();
  const fresh = { until: now + COUNT_SECONDS * 1000, count };
  ofStore.set(kind, fresh);
  return fresh;
}

function exceeded(kind: Kind, who: string, most: number): XensnapError {
  const { setting, what, mend } = WORDS[kind];
  return new XensnapError(
    'QuotaExceeded',
    `${who} may have ${most} ${what} at a time, and has them. ${mend}, or have ${setting} raised in the configuration.`,
  );
}
