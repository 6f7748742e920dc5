import type { MachineName } from '../../../statemachine/contract.ts';
import type { Who } from '../wire/call.ts';
import type { Target } from '../wire/faults.ts';

/** How the job goes in which something fails, and of which machine it is. */
export const RUNS = {
  /** To its end. */
  plain: 'snapshot',
  /** Undone by the state machine, because the plugin is refused in the middle of the upload. */
  undone: 'snapshot',
  /** Undone by reconcile, since its execution was stopped there. */
  stopped: 'snapshot',
  /** As a backup that replaces an older one. */
  backup: 'snapshot',
  /** Owing a secret that the janitor is to destroy. */
  owing: 'snapshot',
  /** To its end. */
  restore: 'restore',
  /** Undone by the state machine, because the plugin is refused in the middle of the download. */
  'restore-cut': 'restore',
  /** Undone by the state machine, because the VM's interface is refused, so that there are VM and disk. */
  'restore-undone': 'restore',
  /** Undone by reconcile, since its execution was stopped there. */
  'restore-stopped': 'restore',
  /** To its end, into a VM that is there and halted. */
  'restore-into': 'restore',
  /** The same, undone by the state machine, because the look before its commit is refused: the disks are exchanged twice. */
  'restore-into-undone': 'restore',
  /** To its end, of which nothing stays: a test whose VM boots. */
  'restore-test': 'restore',
} as const satisfies Record<string, MachineName>;
export type RunName = keyof typeof RUNS;

/** Whether the state machine undoes the job of such a run. */
export function isUndone(run: RunName): boolean {
  return (
    run === 'undone' || run === 'restore-cut' || run === 'restore-undone' || run === 'restore-into-undone'
  );
}

/** Whether reconcile undoes it. */
export function isStopped(run: RunName): boolean {
  return run === 'stopped' || run === 'restore-stopped';
}

/** What happens beyond calls, at a state's beginning. */
export const EVENTS = [
  'service killed',
  'execution stopped',
  'job cancelled',
  'called twice at once',
  'called twice in turn',
  'xapi restarted',
  'failed over',
  'host dies, returns',
  'host dies, is ejected',
] as const;
export type EventName = (typeof EVENTS)[number];

interface Place {
  readonly id: string;
  readonly run: RunName;
  readonly state: Who;
}

/** A call that fails. */
export interface CallCell extends Place {
  readonly to: Target;
  readonly name: string;
  readonly nth: number;
  /** In the catalogue of its target. */
  readonly fault: string;
}

/** Something else that happens. */
export interface EventCell extends Place {
  readonly event: EventName;
}

export type Cell = CallCell | EventCell;

/** The kind of a cell, as the table of the document has it. */
export function kindOf(cell: Cell): string {
  return 'event' in cell ? cell.event : `${cell.to}: ${cell.fault}`;
}

/** Whether a cell takes as long as a limit. */
export function isSlowCell({ fault }: CallCell): boolean {
  return fault === 'late' || fault === 'never' || fault === 'zombie';
}
