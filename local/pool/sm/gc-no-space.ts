import type { PoolState, Storage } from '../state.ts';
import { noteSmConfig, vdiOfUuid } from './records.ts';

/** Tells the operator, once, that there is no space to coalesce, and of each disk that it is one of these (cleanup.py). */
export function noteNoSpace(pool: PoolState, { ref, uuid }: Storage, lacking: ReadonlySet<string>): void {
  const { db, clock } = pool;
  const { gc_no_space: noted, ...rest } = db.map('SR', ref, 'sm_config');
  const isTold = noted !== undefined && db.has('message', noted);
  if (lacking.size === 0) {
    if (noted !== undefined) db.set('SR', ref, 'sm_config', rest);
    if (isTold) db.destroy('message', noted);
    for (const vdi of db.referrers('VDI', 'SR', ref)) noteSmConfig(pool, vdi, 'gc_no_space', undefined);
    return;
  }
  const message = isTold
    ? noted
    : db.create('message', {
        name: 'SM_GC_NO_SPACE',
        priority: '3',
        cls: 'SR',
        obj_uuid: uuid,
        timestamp: clock.now(),
        body: `Unable to perform data coalesce due to a lack of space in SR ${uuid}`,
      });
  db.set('SR', ref, 'sm_config', { ...rest, gc_no_space: message });
  for (const each of lacking) noteSmConfig(pool, vdiOfUuid(pool, each), 'gc_no_space', message);
}
