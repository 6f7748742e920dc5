import type { VmRecord } from '../../xapi/types.ts';

const MOST_CHARACTERS = 1000;

/**
 * A VM's name as it is kept and listed. xapi takes names of any length, and who may name one VM could else fill a record
 * of the table, or an answer that has all others in it.
 */
export function nameOfVm({ name_label: name }: Pick<VmRecord, 'name_label'>): string {
  return name.length <= MOST_CHARACTERS ? name : `${name.slice(0, MOST_CHARACTERS - 1).toWellFormed()}…`;
}
