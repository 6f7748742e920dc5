/** How often the janitor makes its round. */
export const ROUND_SECONDS = 900;

/** The kinds of things that ought not to be there. */
export const FINDING_KINDS = [
  'job',
  'execution',
  'slot',
  'snapshot',
  'tag',
  'secret',
  'task',
  'staging',
  'image',
  'pool',
] as const;

/** `removed`: put right. `would`: a dry run. `left`: doubtful or not ours, a person must look. `failed`: next time. */
export const FINDING_ACTIONS = ['removed', 'would', 'left', 'failed'] as const;

/** Something that ought not to be there, and what was done about it. */
export interface Finding {
  readonly kind: (typeof FINDING_KINDS)[number];
  readonly pool?: string;
  /** UUID or id of what was found. */
  readonly id: string;
  readonly what: string;
  readonly action: (typeof FINDING_ACTIONS)[number];
}

/** What the janitor did in one round. */
export interface JanitorReport {
  readonly dryRun: boolean;
  /** Who asked for the round; absent if the schedule did. */
  readonly actor?: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly findings: readonly Finding[];
}

/** A report as the table keeps it. */
export interface KeptReport extends JanitorReport {
  /** Findings for which there was no room; the janitor's log has them. */
  readonly omitted: number;
}
