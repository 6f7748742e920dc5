import type { IncomingMessage } from 'node:http';
import type { Fault, Reply } from './faults.ts';
import { type Front, type Kind, startProxy } from './front.ts';
import type { Wire } from './wire.ts';

/** Stands before a Glance, for the service and for the plugin, which is told this address. */
export function startGlanceProxy(wire: Wire, url: string): Promise<Front> {
  return startProxy(wire, GLANCE, url);
}

const GLANCE: Kind = {
  readsBody: false,
  describe: ({ method, url = '' }) => {
    const [path = ''] = url.split('?');
    const name = path.replace(/^\/v2\//, '').replace(/images\/[0-9a-f-]{36}/, 'image');
    return { to: 'glance', name: `${method} ${name}`, args: [path] };
  },
  originOf: ({ headers, url = '' }: IncomingMessage) => {
    if (!headers['user-agent']?.startsWith('xensnap-plugin/')) return {};
    // The image has its job's id.
    const job = /images\/([0-9a-f-]{36})/.exec(url)?.[1];
    return { who: 'plugin', ...(job !== undefined && { job }) };
  },
  refusal,
};

/** What Glance and Keystone, or what stands before them, say in such a trouble. */
export function refusal(fault: Fault & { kind: 'error' | 'status' | 'garbage' }): Reply {
  if (fault.kind === 'garbage')
    return {
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: Buffer.from('{"status": "act'),
    };
  const status = fault.kind === 'status' ? fault.status : (fault.status ?? 500);
  const body = `<html><head><title>${status}</title></head><body>planted</body></html>`;
  return { status, headers: { 'content-type': 'text/html' }, body: Buffer.from(body) };
}
