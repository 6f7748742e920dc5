import { Refused } from './answer.ts';
import { SERVER_ERROR } from './body.ts';

/** The part of JSON Schema that Glance's image schema uses. */
interface Attribute {
  type: string | string[];
  description: string;
  maxLength?: number;
  pattern?: string;
  enum?: (string | null)[];
  readOnly?: boolean;
  items?: Attribute;
}

const ID = /^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$/;
const text = (description: string, more: Partial<Attribute> = {}): Attribute => ({
  type: 'string',
  description,
  ...more,
});
const nullable = (description: string, more: Partial<Attribute> = {}): Attribute => ({
  type: ['null', 'string'],
  description,
  ...more,
});
const fixed = { readOnly: true };

/** The base attributes, as `/v2/schemas/image` shows them. */
export const attributes: Record<string, Attribute> = {
  id: text('An identifier for the image', {
    pattern: ID.source,
  }),
  name: nullable('Descriptive name for the image', { maxLength: 255 }),
  status: text('Status of the image', fixed),
  visibility: text('Scope of image accessibility', { enum: ['community', 'public', 'private', 'shared'] }),
  protected: { type: 'boolean', description: 'Whether the image is kept from being deleted' },
  os_hidden: { type: 'boolean', description: 'Whether the image is left out of lists' },
  checksum: nullable('md5 of the data', fixed),
  os_hash_algo: nullable('Algorithm of os_hash_value', fixed),
  os_hash_value: nullable('Hash of the data', fixed),
  owner: nullable('Owner of the image', { maxLength: 255 }),
  size: { type: ['null', 'integer'], description: 'Bytes of data', ...fixed },
  virtual_size: { type: ['null', 'integer'], description: 'Bytes of the disk in it', ...fixed },
  container_format: nullable('Format of the container', {
    enum: [null, 'ami', 'ari', 'aki', 'bare', 'ovf', 'ova', 'docker', 'compressed'],
  }),
  disk_format: nullable('Format of the disk', {
    enum: [null, 'ami', 'ari', 'aki', 'vhd', 'vhdx', 'vmdk', 'raw', 'qcow2', 'vdi', 'iso', 'ploop'],
  }),
  created_at: text('Time of creation', fixed),
  updated_at: text('Time of the last change', fixed),
  tags: { type: 'array', description: 'Tags of the image', items: text('A tag', { maxLength: 255 }) },
  min_ram: { type: 'integer', description: 'MiB of memory needed' },
  min_disk: { type: 'integer', description: 'GiB of disk needed' },
  self: text('URL of the image', fixed),
  file: text('URL of the data', fixed),
  schema: text('URL of the schema', fixed),
  direct_url: text('URL of the data in its store', fixed),
  stores: text('Stores that hold the data', fixed),
};

const RESERVED = ['location', 'locations', 'deleted', 'deleted_at'];
const custom = text('Custom property');

/** The base attribute of this name; undefined for a property, whatever it is called. */
function attributeOf(key: string): Attribute | undefined {
  return Object.hasOwn(attributes, key) ? attributes[key] : undefined;
}

/** @throws Refused 403 for what only Glance writes */
export function checkWritable(key: string): void {
  if (attributeOf(key)?.readOnly) throw new Refused(403, `Attribute '${key}' is read-only.`);
  if (RESERVED.includes(key) || key.startsWith('os_glance'))
    throw new Refused(403, `Attribute '${key}' is reserved.`);
}

/** @throws Refused 400 for a value that the schema does not allow, also where nobody may write it */
export function checkValue(key: string, value: unknown): void {
  if (RESERVED.includes(key)) return;
  if (lengthOf(key) > 255)
    throw new Refused(400, 'Custom property should not be greater than 255 characters.');
  const complaint = complaintAbout(value, attributeOf(key) ?? custom);
  if (complaint)
    throw new Refused(400, `Provided object does not match schema 'image': ${complaint} (${key})`);
  if ((key === 'min_disk' || key === 'min_ram') && Number(value) < 0)
    throw new Refused(400, `Invalid value '${value}' for parameter '${key}': Cannot be a negative value`);
}

/**
 * Four bytes of UTF-8 are too many for Glance (no_4byte_params), and half a surrogate pair for the database below it.
 * @throws Refused 400 and 500
 */
export function checkCharacters(values: Readonly<Record<string, unknown>>): void {
  const texts = Object.entries(values).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  const tags = Array.isArray(values.tags) ? values.tags.map(String) : [];
  if (Object.keys(values).some((key) => !attributeOf(key) && FOUR_BYTES.test(key)))
    throw new Refused(400, "Property names can't contain 4 byte unicode.");
  const [unfit] = texts.find(([, value]) => FOUR_BYTES.test(value)) ?? [];
  if (unfit !== undefined)
    throw new Refused(400, `${titled(unfit)} can't contain 4 byte unicode characters.`);
  if (tags.some((tag) => FOUR_BYTES.test(tag)))
    throw new Refused(400, "Param values can't contain 4 byte unicode.");
  if (
    ![...Object.keys(values), ...texts.map(([, value]) => value), ...tags].every((text) =>
      text.isWellFormed(),
    )
  )
    throw new Refused(500, SERVER_ERROR);
}

const FOUR_BYTES = /[\u{10000}-\u{10ffff}]/u;

/** The text as Python's `title` makes it. */
function titled(text: string): string {
  return text.toLowerCase().replace(/\p{L}+/gu, (word) => word.charAt(0).toUpperCase() + word.slice(1));
}

/** @throws Refused 413 past image_property_quota or image_tag_quota, 128 each */
export function checkCounts(image: { properties: object; tags: string[] }): void {
  if (Object.keys(image.properties).length > 128)
    throw new Refused(413, 'The limit has been exceeded on the number of allowed image properties.');
  if (image.tags.length > 128)
    throw new Refused(413, 'The limit has been exceeded on the number of allowed image tags.');
}

function complaintAbout(value: unknown, schema: Attribute): string | undefined {
  const shown = value === null ? 'None' : JSON.stringify(value)?.replaceAll('"', "'");
  const types = [schema.type].flat();
  if (!types.some((type) => isOf(type, value))) return `${shown} is not of type '${types.join("', '")}'`;
  if (schema.enum && !schema.enum.some((one) => one === value))
    return `${shown} is not one of [${schema.enum.map((one) => (one === null ? 'None' : `'${one}'`)).join(', ')}]`;
  if (typeof value === 'string' && schema.maxLength && lengthOf(value) > schema.maxLength)
    return `${shown} is too long`;
  if (typeof value === 'string' && schema.pattern === ID.source && !ID.test(value))
    return `${shown} does not match '${schema.pattern}'`;
  const { items } = schema;
  if (!items || !Array.isArray(value)) return undefined;
  return value.map((item) => complaintAbout(item, items)).find(Boolean);
}

/** The length in characters, as Python counts them. */
function lengthOf(text: string): number {
  return [...text].length;
}

function isOf(type: string, value: unknown): boolean {
  if (type === 'null') return value === null;
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  return typeof value === type;
}
