import { randomUUID } from 'node:crypto';
import type { Image } from '../../../glance/image.ts';

/** An image's record that can be restored, as Glance has it; for tests whose Glance is in memory. */
export function aRawImage(fields: Partial<Image> = {}): Image {
  return {
    ...{ id: randomUUID(), name: 'nightly', status: 'active', sizeBytes: 4096, checksum: null },
    ...{ osHashAlgo: 'sha512', osHashValue: 'abc', diskFormat: 'raw', containerFormat: 'bare' },
    ...{ visibility: 'private', owner: null, protected: false },
    ...{ createdAt: '2026-01-01T00:00:00Z', updatedAt: '2026-01-01T00:00:00Z' },
    properties: { xensnap_installation: 'test', xensnap_vm_name: 'web-1', xensnap_pool: 'demo' },
    ...fields,
  };
}
