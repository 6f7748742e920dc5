import type { PoolState } from '../state.ts';

/** sm's notes on a disk that come and go: `vhd-parent`, `vhd-blocks`, `paused`, `relinking`, `host_…` and others. */
export function smConfig({ db }: PoolState, vdi: string): Record<string, string> {
  return db.map('VDI', vdi, 'sm_config');
}

/** Sets a key, or takes it away; a disk that has no record any more is left alone. */
export function noteSmConfig(
  { db }: PoolState,
  vdi: string | undefined,
  key: string,
  value: string | undefined,
): void {
  if (vdi === undefined || !db.has('VDI', vdi)) return;
  const { [key]: _old, ...rest } = db.map('VDI', vdi, 'sm_config');
  db.set('VDI', vdi, 'sm_config', value === undefined ? rest : { ...rest, [key]: value });
}

/** The disk's reference; undefined when it has no record. */
export function vdiOfUuid({ db }: PoolState, uuid: string): string | undefined {
  try {
    return db.byUuid('VDI', uuid);
  } catch {
    return undefined;
  }
}

/** The disk's record goes, and what joins it to a VM, which xapi's collector would find next. */
export function forgetVdi({ db }: PoolState, vdi: string): void {
  for (const vbd of db.referrers('VBD', 'VDI', vdi)) db.destroy('VBD', vbd);
  db.destroy('VDI', vdi);
}
