import type { ImageRecord } from './records.ts';

/** An image as the v2 API shows it: custom properties beside the attributes, times in whole seconds. */
export function imageJson(record: ImageRecord): Record<string, unknown> {
  const path = `/v2/images/${record.id}`;
  return {
    ...record.properties,
    name: record.name,
    disk_format: record.disk_format,
    container_format: record.container_format,
    visibility: record.visibility,
    size: record.size,
    virtual_size: null,
    status: record.status,
    checksum: record.checksum,
    protected: record.protected,
    min_ram: record.min_ram,
    min_disk: record.min_disk,
    owner: record.owner,
    os_hidden: record.os_hidden,
    os_hash_algo: record.os_hash_algo,
    os_hash_value: record.os_hash_value,
    id: record.id,
    created_at: wholeSeconds(record.created_at),
    updated_at: wholeSeconds(record.updated_at),
    tags: record.tags,
    self: path,
    file: `${path}/file`,
    schema: '/v2/schemas/image',
    // Named once there is data in it.
    ...(record.status === 'active' && { stores: 'fs' }),
  };
}

function wholeSeconds(time: string): string {
  return time.replace(/\.\d+Z$/, 'Z');
}
