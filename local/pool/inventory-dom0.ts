import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { PoolState } from './state.ts';

export interface Dom0Vbd {
  /** The disk's UUID. */
  readonly vdi: string;
  readonly host: string;
  readonly attached: boolean;
  readonly otherConfig: Record<string, string>;
}

/** The control domains' VBDs, whoever made them. */
export function dom0Vbds({ db, hosts }: PoolState): Dom0Vbd[] {
  return hosts
    .flatMap(({ ref, name }) =>
      db.referrers('VBD', 'VM', db.text('host', ref, 'control_domain')).map((vbd) => ({
        vdi: uuidOrNone(db, db.text('VBD', vbd, 'VDI')),
        host: name,
        attached: db.flag('VBD', vbd, 'currently_attached'),
        otherConfig: db.map('VBD', vbd, 'other_config'),
      })),
    )
    .sort((one, other) => one.vdi.localeCompare(other.vdi));
}

/** A disk's UUID, also of one that is no more. */
export function uuidOrNone(db: PoolState['db'], vdi: string): string {
  return db.has('VDI', vdi) ? db.text('VDI', vdi, 'uuid') : '';
}

/** The devices below each control domain's `/dev`. */
export async function devicesOfHosts({ hosts }: PoolState): Promise<string[]> {
  const found = await Promise.all(
    hosts.map(async ({ name, dom0Root }) => {
      const names = await listTree(join(dom0Root, 'dev')).catch((): string[] => []);
      return names.filter((each) => !each.endsWith('/')).map((each) => `${name}: ${each}`);
    }),
  );
  return found.flat().sort();
}

/** What is in a folder and below: folders with a slash. */
export async function listTree(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries.map((entry) => {
    const path = join(entry.parentPath, entry.name).slice(folder.length + 1);
    return entry.isDirectory() ? `${path}/` : path;
  });
}
