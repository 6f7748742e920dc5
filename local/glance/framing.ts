import type { Socket } from 'node:net';

/**
 * Where in its body a client stopped sending. Node's parser only says that the message ended too early; what
 * Glance answers depends on where (measured on Zed under eventlet).
 */
export type Stop = 'between-chunks' | 'inside-data' | 'after-last-chunk';

/** Follows one connection's bytes through headers and chunks without looking at the data. */
export function followFraming(socket: Socket): () => Stop {
  let line = '';
  let left = 0;
  let state: 'headers' | 'size' | 'chunk' | 'chunk-end' | 'trailer' | 'fixed' = 'headers';

  function enter(headers: string): void {
    const [, encoding = ''] = /^transfer-encoding:(.*)$/im.exec(headers) ?? [];
    if (/\bchunked\b/i.test(encoding)) state = 'size';
    else {
      left = Number(/^content-length:\s*(\d+)/im.exec(headers)?.[1] ?? 0);
      if (left > 0) state = 'fixed';
    }
  }

  function endLine(): void {
    const size = Number.parseInt(line, 16);
    if (state === 'chunk-end') state = 'size';
    else if (state === 'size') {
      left = size;
      state = size > 0 ? 'chunk' : 'trailer';
    } else if (line.trim() === '') state = 'headers'; // the trailer's last line
    line = '';
  }

  function feed(data: Buffer): void {
    let at = 0;
    while (at < data.length) {
      if (state === 'chunk' || state === 'fixed') {
        const step = Math.min(left, data.length - at);
        at += step;
        left -= step;
        if (left === 0) state = state === 'chunk' ? 'chunk-end' : 'headers';
        continue;
      }
      const newline = data.indexOf(10, at);
      const end = newline < 0 ? data.length : newline + 1;
      line += data.toString('latin1', at, end);
      at = end;
      if (newline < 0) return;
      if (state !== 'headers') endLine();
      else if (/\r?\n\r?\n$/.test(line)) {
        const headers = line;
        line = '';
        enter(headers);
      } else if (line.trim() === '') line = '';
    }
  }

  socket.on('data', feed);
  return () => {
    if (state === 'trailer') return 'after-last-chunk';
    if (state === 'size' && line !== '')
      return Number.parseInt(line, 16) === 0 ? 'after-last-chunk' : 'inside-data';
    return state === 'size' || state === 'chunk-end' ? 'between-chunks' : 'inside-data';
  };
}
