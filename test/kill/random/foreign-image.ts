import type { ImageRecord } from '../../../local/glance/records.ts';
import { GLANCE_TOKEN, type World } from '../world.ts';

/** Puts an image of a third installation into Glance, which says of itself all that ours say; as Glance has it then. */
export async function plantImage({ glance }: Pick<World, 'glance'>, vm: string): Promise<ImageRecord> {
  const ask = async (method: string, path: string, type: string, body: string) => {
    const response = await fetch(`${glance.url}/v2/images${path}`, {
      method,
      headers: { 'x-auth-token': GLANCE_TOKEN, 'content-type': type },
      body,
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status}`);
    return response.text();
  };
  const { id } = JSON.parse(
    await ask(
      'POST',
      '',
      'application/json',
      JSON.stringify({
        ...{ name: 'daily of somebody else', disk_format: 'vhd', container_format: 'ovf' },
        ...{ image_type: 'backup', backup_type: 'daily', instance_uuid: vm },
        ...{ xensnap_installation: 'somebody-else', xensnap_vm_uuid: vm, xensnap_verified: 'true' },
      }),
    ),
  );
  await ask('PUT', `/${id}/file`, 'application/octet-stream', 'bytes');
  const planted = glance.images().find((image) => image.id === id);
  if (!planted) throw new Error('the image is not there');
  return structuredClone(planted);
}
