import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import { createGlance, type Glance } from '../../../glance/client.ts';
import type { Image, NewImage } from '../../../glance/image.ts';

/** The servers that a contract is held against: one without limits, one with those below. */
export interface Target {
  url: string;
  limitedUrl: string;
}

/** What the limited server has; run.sh says the same to the real one. */
export const limits = { sizeCapBytes: 1048576, quotaBytes: 1572864, socketTimeoutSeconds: 2 };

/** One server, a client for it, and the images of one test. */
export interface Bench {
  url: string;
  glance: Glance;
  /** creates a queued image with a random id */
  anImage(image?: Partial<NewImage>): Promise<Image>;
  /** waits until the image has this status */
  untilStatus(id: string, status: string): Promise<void>;
  /** deletes the images and ends the client */
  clear(): Promise<void>;
}

export function openBench(url: string): Bench {
  const glance = createGlance({ url });
  const ids: string[] = [];
  return {
    url,
    glance,
    async anImage(image = {}) {
      const id = image.id ?? randomUUID();
      ids.push(id);
      return glance.createImage({
        id,
        name: 'web-1',
        properties: {},
        diskFormat: 'vhd',
        containerFormat: 'ovf',
        visibility: 'private',
        ...image,
      });
    },
    async untilStatus(id, status) {
      const current = async () => (await glance.getImage(id))?.status;
      await expect.poll(current, { timeout: 30_000, interval: 20 }).toBe(status);
    },
    async clear() {
      for (const id of ids.splice(0)) await glance.deleteImage(id);
      await glance.close();
    },
  };
}
