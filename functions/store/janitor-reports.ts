import { fitting } from '../bounded.ts';
import type { JanitorReport, KeptReport } from '../janitor/finding.ts';
import type { Table } from './table.ts';

const LAST = 'janitor#last';
const PLACES = 'janitor#places';
/** DynamoDB takes no item above 400 KB. As JSON findings are longer than it counts them. */
const MOST_BYTES = 350_000;

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

  /** Where the last round stopped among the open jobs of a pool, by the pool's name; of those that it came through, nothing. */
  async places(): Promise<Readonly<Record<string, string>>> {
    return (await this.#table.get<{ places?: Record<string, string> }>(PLACES))?.places ?? {};
  }

  async keepPlaces(places: Readonly<Record<string, string>>): Promise<void> {
    await this.#table.change(PLACES, { set: { places } });
  }
}
