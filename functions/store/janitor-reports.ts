import { fitting } from '../bounded.ts';
import type { JanitorReport, KeptReport } from '../janitor/finding.ts';
import type { Table } from './table.ts';

const LAST = 'janitor#last';
const PLACES = 'janitor#places';
/** DynamoDB takes no item above 400 KB. As JSON findings are longer than it counts them. */
const MOST_BYTES = 350_000;

/** Where the last round through the open jobs stopped. */
export interface Places {
  /** By a pool's name, among its jobs; of pools that it came through, nothing. */
  readonly places: Readonly<Record<string, string>>;
  /** The first pool that it did not come to at all. */
  readonly pool?: string | undefined;
}

/** What the janitor's last round found, for those who cannot start one. */
export class JanitorReports {
  readonly #table: Table;

  constructor(table: Table) {
    this.#table = table;
  }

  /** Keeps the report in place of the one before. Findings that do not fit are left off, and counted. */
  async keep({ findings, ...report }: JanitorReport): Promise<void> {
    const kept = fitting(findings, MOST_BYTES);
    await this.#table.change(LAST, {
      set: { ...report, findings: kept, omitted: findings.length - kept.length },
      ...(report.actor === undefined && { remove: ['actor'] }),
    });
  }

  /** Undefined before the first round. */
  async last(): Promise<KeptReport | undefined> {
    const item = await this.#table.get<KeptReport & { id: string }>(LAST);
    if (!item) return undefined;
    const { id: _, ...report } = item;
    return report;
  }

  async places(): Promise<Places> {
    const { places = {}, pool } = (await this.#table.get<Partial<Places>>(PLACES)) ?? {};
    return { places, ...(pool !== undefined && { pool }) };
  }

  async keepPlaces({ places, pool }: Places): Promise<void> {
    await this.#table.change(PLACES, {
      set: { places, pool },
      ...(pool === undefined && { remove: ['pool'] }),
    });
  }
}
