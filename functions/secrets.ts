import { isCode } from '../xapi/errors.ts';
import type { Session } from '../xapi/session.ts';
import { TAGS } from './tags.ts';

/** Destroys a xapi secret; one that is gone is fine. */
export async function destroySecret(xapi: Session, secretUuid: string): Promise<void> {
  try {
    await xapi.call('secret.destroy', await xapi.call('secret.get_by_uuid', secretUuid));
  } catch (error) {
    if (!isCode(error, 'UUID_INVALID', 'HANDLE_INVALID')) throw error;
  }
}

/**
 * Destroys the secrets of a job by their tags, without reading a value: for one that was made, but whose UUID a lost
 * reply or a crash kept off the record.
 */
export async function destroySecretsOfJob(xapi: Session, jobId: string): Promise<void> {
  for (const ref of await xapi.call('secret.get_all')) {
    try {
      if ((await xapi.call('secret.get_other_config', ref))[TAGS.job] === jobId)
        await xapi.call('secret.destroy', ref);
    } catch (error) {
      if (!isCode(error, 'HANDLE_INVALID')) throw error;
    }
  }
}
