import type { FaultStyle } from '../faults.ts';

/** Nova's names (nova/api/openstack/wsgi.py, class Fault). */
export const NOVA: FaultStyle = {
  names: {
    400: 'badRequest',
    401: 'unauthorized',
    403: 'forbidden',
    404: 'itemNotFound',
    405: 'badMethod',
    409: 'conflictingRequest',
    413: 'overLimit',
    415: 'badMediaType',
    429: 'overLimit',
    501: 'notImplemented',
    503: 'serviceUnavailable',
  },
  otherwise: 'computeFault',
  // Nova tells of Glance's quota so (OverQuota).
  statuses: { GlanceTooLarge: 403 },
};
