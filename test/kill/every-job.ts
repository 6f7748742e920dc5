import { askApi } from '../support/servers.ts';
import type { Told } from './ended.ts';

/** Of a job as the API tells it. */
export interface TellingJob extends Told {
  readonly phase: string;
  readonly error: { readonly name: string } | null;
}

/** Every job that an API knows. @throws Error when it does not answer */
export async function everyJob(api: Parameters<typeof askApi>[0]): Promise<TellingJob[]> {
  const jobs: TellingJob[] = [];
  let marker = '';
  do {
    const { status, body } = await askApi(api, 'GET', `/snapshots?limit=100${marker}`);
    if (status !== 200) throw new Error(`GET /snapshots: ${status} ${JSON.stringify(body)}`);
    for (const job of body.snapshots) jobs.push({ ...job, imageGone: job.imageId === null });
    marker = body.next === null ? '' : `&marker=${encodeURIComponent(body.next)}`;
  } while (marker !== '');
  return jobs;
}
