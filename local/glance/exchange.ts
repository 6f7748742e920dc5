import type { IncomingMessage } from 'node:http';
import type { LocalClock } from '../clock.ts';
import type { Fault } from './faults.ts';
import type { ImageRecord, Records } from './records.ts';
import type { Uploads } from './uploads.ts';

/** What the handlers work on. */
export interface Service {
  records: Records;
  uploads: Uploads;
  clock: LocalClock;
  sizeCapBytes: number;
  quotaBytes: number | undefined;
  socketTimeoutSeconds: number;
}

/** One request on its way to its answer. */
export interface Exchange {
  service: Service;
  req: IncomingMessage;
  /** scheme, host and port as the client wrote them */
  baseUrl: string;
  query: URLSearchParams;
  fault: Fault | undefined;
  /** sends `100 Continue` if the client waits for it: Glance does so only when it first reads the body */
  proceed(): void;
}

/** Now, as records hold it. */
export function timestamp(service: Service): string {
  return service.clock.now().toISOString();
}

/** Writes a changed record with a new time of change. */
export function saveChanged(service: Service, record: ImageRecord): void {
  service.records.save({ ...record, updated_at: timestamp(service) });
}
