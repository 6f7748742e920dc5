import { ERROR_STATUS } from '../../functions/errors.ts';
import type { Job } from '../../functions/job.ts';
import type { GlanceServer } from '../../local/glance/server.ts';
import type { Call } from './wire/call.ts';

/** How many uploads go on at a time from each host. */
export interface Watch {
  /** Told of each call of a service. */
  onCall(call: Pick<Call, 'name' | 'args'>): void;
  /** What was over the limit, a line each. */
  wrong(): string[];
}

/** Watches by the images that Glance receives, and by the host where the plugin was called for each. */
export function slotsWatched(glance: Pick<GlanceServer, 'onUpload'>, limit: number): Watch {
  const hosts = new Map<string, string>();
  const underWay = new Set<string>();
  const over = new Set<string>();
  glance.onUpload(({ imageId, event }) => {
    if (event === 'progress') return;
    if (event === 'ended') return void underWay.delete(imageId);
    underWay.add(imageId);
    const counts = new Map<string, number>();
    for (const image of underWay) {
      const host = hosts.get(image);
      if (host !== undefined) counts.set(host, (counts.get(host) ?? 0) + 1);
    }
    for (const [host, count] of counts)
      if (count > limit) over.add(`${count} uploads at a time from ${host}, which has ${limit} slots`);
  });
  return {
    onCall(call) {
      const upload = uploadOf(call);
      if (upload) hosts.set(upload.image, upload.host);
    },
    wrong: () => [...over],
  };
}

/** The image and the host of a call that has the plugin upload; undefined for any other. */
export function uploadOf({ name, args }: Pick<Call, 'name' | 'args'>) {
  if (!name.endsWith('host.call_plugin:put_vdis')) return undefined;
  const image = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(JSON.stringify(args[3]))?.[0];
  return image === undefined ? undefined : { image, host: String(args[0]) };
}

/** What is wrong with how jobs that have ended told it: once, and for a cause that is documented. */
export function outcomesWrong(jobs: readonly Job[], logs: readonly string[]): string[] {
  const told = new Map<string, number>();
  for (const line of logs) {
    if (!line.includes('"job ended"')) continue;
    const { jobId } = JSON.parse(line);
    told.set(jobId, (told.get(jobId) ?? 0) + 1);
  }
  return jobs.flatMap(({ id, status, error }) => {
    const wrong: string[] = [];
    const times = told.get(id) ?? 0;
    if (times > 1) wrong.push(`job ${id}: its outcome was told ${times} times`);
    if ((status === 'succeeded') !== (error === undefined))
      wrong.push(`job ${id}: ${status}, with the error ${error?.name}`);
    if (error && (!Object.hasOwn(ERROR_STATUS, error.name) || UNTRUE.has(error.name)))
      wrong.push(`job ${id}: ${error.name}: ${error.message}`);
    return wrong;
  });
}

/** Names that tell an operator nothing of what really failed. */
const UNTRUE: ReadonlySet<string> = new Set(['Internal', 'JobClosing', 'JobUnknown', 'StillOwed']);
