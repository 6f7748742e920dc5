import type { FaultStyle } from '../faults.ts';

/** The names of the Cloud Servers developer guide, v1.0, "Faults". */
export const CLOUD_SERVERS: FaultStyle = {
  names: {
    400: 'badRequest',
    401: 'unauthorized',
    404: 'itemNotFound',
    405: 'badMethod',
    409: 'backupOrResizeInProgress',
    413: 'overLimit',
    415: 'badMediaType',
    501: 'notImplemented',
    503: 'serviceUnavailable',
  },
  otherwise: 'cloudServersFault',
  // A 409 of that API is another backup or a resize under way.
  statuses: { RootDiskAmbiguous: 400, QuotaExceeded: 413 },
};
