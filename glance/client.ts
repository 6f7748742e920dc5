import type * as z from 'zod';
import { withoutEndSlashes } from '../http/address.ts';
import type { TrustOptions } from '../http/trust.ts';
import { GlanceBadRequest, GlanceUnavailable } from './errors.ts';
import { type Image, imageOnTheWire, type NewImage, pageOnTheWire, versionsOnTheWire } from './image.ts';
import { MAX_IMAGE_BYTES, MAX_PAGE_BYTES, MAX_VERSIONS_BYTES } from './limits.ts';
import { type ImageFilter, listPages } from './list.ts';
import { refusalError } from './refusal.ts';
import { type Answer, type Call, createTransport } from './transport.ts';

export interface GlanceOptions extends TrustOptions {
  /** the endpoint, without `/v2` (a catalogue's URL that ends in it is taken as well) */
  url: string;
  /** asked before every request; without a token no X-Auth-Token is sent */
  token?: () => Promise<string | undefined>;
  /** told of a 401; the request, which had no effect, then goes out once more with the next token */
  forgetToken?: (() => void) | undefined;
  /** for one whole request; 30 if not given */
  timeoutSeconds?: number | undefined;
}

/**
 * Glance v2, image records only: the data goes from dom0 to Glance. Nothing is ever sent twice here, reads
 * included (but for a 401, see `forgetToken`); callers that want to try again decide by the error's name (errors.ts). A call whose answer was lost
 * is a GlanceUnavailable and may have had its effect.
 */
export interface Glance {
  /** @throws GlanceConflict when the id was used before, by a deleted image too */
  createImage(image: NewImage): Promise<Image>;
  /** undefined when there is no such image */
  getImage(id: string): Promise<Image | undefined>;
  /**
   * Deletes record and data; an image that is gone already is fine. An upload under way gets 410.
   * @throws GlanceForbidden when the image is protected
   */
  deleteImage(id: string): Promise<void>;
  /**
   * Sets custom properties, new or not; the others stay. Not while an upload runs: at its end Glance (Zed) writes
   * the record as it was at the upload's start, and the change is lost without a word.
   * @throws GlanceNotFound when there is no such image
   */
  updateImage(id: string, properties: Record<string, string>): Promise<Image>;
  /**
   * Every image that fits, once, over all pages; a page that fails throws, so that an end is the end.
   * @throws GlanceUnavailable also for what is no list, or none that ends (limits.ts)
   */
  listImages(filter?: ImageFilter): AsyncGenerator<Image, void, undefined>;
  /** Checks that Glance is there and takes our token; `version` is the newest API that it names, null if it names none. */
  check(): Promise<{ version: string | null }>;
  /** Ends the kept connections once their requests are over. */
  close(): Promise<void>;
}

/**
 * A client for one Glance; connects when it is first used.
 * @throws TypeError for a URL that is no Glance's, and for what {@link trustOf} does not take
 */
export function createGlance(options: GlanceOptions): Glance {
  const endpoint = endpointOf(options.url);
  const transport = createTransport({
    service: 'Glance',
    endpoint,
    token: options.token ?? (async () => undefined),
    trust: options,
    timeoutSeconds: options.timeoutSeconds ?? 30,
    maxBytes: MAX_IMAGE_BYTES,
  });

  async function ask(call: Call, ...expected: number[]): Promise<Answer> {
    let answer = await transport.send(call);
    if (answer.status === 401 && options.forgetToken) {
      options.forgetToken();
      answer = await transport.send(call);
    }
    if (expected.includes(answer.status)) return answer;
    throw refusalError({ method: call.method, ...answer });
  }

  async function look(id: string): Promise<Image | undefined> {
    const answer = await ask({ method: 'GET', path: pathOf(id) }, 200, 404);
    return answer.status === 404 ? undefined : read(answer, imageOnTheWire);
  }

  return {
    async createImage(image) {
      const body = {
        ...image.properties,
        id: image.id,
        name: image.name,
        disk_format: image.diskFormat,
        container_format: image.containerFormat,
        visibility: image.visibility,
        ...(image.owner != null && { owner: image.owner }),
        ...(image.protected !== undefined && { protected: image.protected }),
        ...(image.minDisk !== undefined && { min_disk: image.minDisk }),
      };
      return read(await ask({ method: 'POST', path: '/v2/images', body }, 201), imageOnTheWire);
    },

    getImage: look,

    async deleteImage(id) {
      const { status } = await ask({ method: 'DELETE', path: pathOf(id) }, 204, 404);
      // A 404 that something between us and Glance has given says nothing of the image.
      if (status === 404 && (await look(id)))
        throw new GlanceUnavailable(`Glance answered 404 to the deletion of the image ${id}, and has it.`);
    },

    async updateImage(id, properties) {
      const body = Object.entries(properties).map(([key, value]) => ({
        op: 'add',
        path: pointerTo(key),
        value,
      }));
      const contentType = 'application/openstack-images-v2.1-json-patch';
      return read(await ask({ method: 'PATCH', path: pathOf(id), contentType, body }, 200), imageOnTheWire);
    },

    listImages: (filter = {}) =>
      listPages(filter, async (path) => {
        const answer = await ask({ method: 'GET', path, maxBytes: MAX_PAGE_BYTES }, 200);
        return { ...read(answer, pageOnTheWire), bytes: answer.body.length };
      }),

    async check() {
      await ask({ method: 'GET', path: '/v2/images?limit=1' }, 200);
      const root = await transport.send({ method: 'GET', path: '/', maxBytes: MAX_VERSIONS_BYTES });
      const versions = versionsOnTheWire.safeParse(json(root.body)).data?.versions ?? [];
      return { version: versions.find(({ status }) => status === 'CURRENT')?.id ?? null };
    },

    close: () => transport.close(),
  };
}

/** An image's own URL. @throws TypeError when `url` cannot be a Glance's */
export function imageUrl(url: string, imageId: string): string {
  return `${endpointOf(url)}/v2/images/${encodeURIComponent(imageId)}`;
}

function endpointOf(url: string): string {
  const parsed = URL.parse(url);
  if (!parsed || !/^https?:$/.test(parsed.protocol))
    throw new TypeError(`${url} is no http(s) URL of a Glance`);
  return `${parsed.origin}${withoutEndSlashes(parsed.pathname).replace(/\/v2$/, '')}`;
}

function pathOf(id: string): string {
  // An empty id would address the whole collection.
  if (!id) throw new GlanceBadRequest('An image id is missing');
  return `/v2/images/${encodeURIComponent(id)}`;
}

/** A JSON pointer (RFC 6901). */
function pointerTo(key: string): string {
  return `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

function read<T extends z.ZodType>(answer: Answer, schema: T): z.output<T> {
  const parsed = schema.safeParse(json(answer.body));
  if (parsed.success) return parsed.data;
  throw new GlanceUnavailable(`${answer.url} did not answer as a Glance v2 does: is the endpoint right?`, {
    cause: parsed.error,
  });
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
