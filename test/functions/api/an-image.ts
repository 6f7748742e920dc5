import { randomUUID } from 'node:crypto';
import type { Image, NewImage } from '../../../glance/image.ts';
import type { ServedApi } from './served-api.ts';

/** An image of 4 KiB that can be restored, with data, as a job of the installation `test` leaves one. */
export async function anImage(
  { runtime, glance }: Pick<ServedApi, 'runtime' | 'glance'>,
  fields: Partial<NewImage> = {},
): Promise<Image> {
  const id = fields.id ?? randomUUID();
  await runtime.glance.createImage({
    id,
    name: 'nightly',
    diskFormat: 'raw',
    containerFormat: 'bare',
    visibility: 'private',
    ...fields,
    properties: {
      xensnap_installation: 'test',
      xensnap_job: id,
      xensnap_pool: 'demo',
      xensnap_vm: 'vm-1',
      xensnap_vm_name: 'web-1',
      xensnap_verified: 'true',
      ...fields.properties,
    },
  });
  const { status } = await fetch(`${glance.url}/v2/images/${id}/file`, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream' },
    body: Buffer.alloc(4096, 1),
  });
  const image = await runtime.glance.getImage(id);
  if (status !== 204 || !image) throw new Error(`the image was not taken: ${status}`);
  return image;
}
