/** One upload under way. */
export interface UploadProgress {
  imageId: string;
  /** bytes of data received so far */
  bytes: number;
}

export type UploadEvent = UploadProgress & { event: 'started' | 'progress' | 'ended' };

/** Which uploads are under way, for tests and reports. */
export interface Uploads {
  now(): UploadProgress[];
  start(imageId: string): { add(bytes: number): void; end(): void };
  /** Calls the listener at each start, piece and end; gives back what stops it. */
  listen(listener: (event: UploadEvent) => void): () => void;
}

export function createUploads(): Uploads {
  const running = new Set<UploadProgress>();
  const listeners = new Set<(event: UploadEvent) => void>();
  const tell = (upload: UploadProgress, event: UploadEvent['event']) => {
    for (const listener of listeners) listener({ ...upload, event });
  };
  return {
    now: () => [...running].map((upload) => ({ ...upload })),
    start(imageId) {
      const upload = { imageId, bytes: 0 };
      running.add(upload);
      tell(upload, 'started');
      return {
        add(bytes) {
          if (!running.has(upload)) return;
          upload.bytes += bytes;
          tell(upload, 'progress');
        },
        end() {
          running.delete(upload);
          tell(upload, 'ended');
        },
      };
    },
    listen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
