import { decodeCall, encodeFailure } from '../../../local/pool/wire/xmlrpc.ts';
import type { Fault, Reply } from './faults.ts';
import { type Front, type Kind, startProxy } from './front.ts';
import type { Wire } from './wire.ts';

const XML = { 'content-type': 'text/xml' };

/** Stands before each member of a pool; the addresses that the pool names are the proxies', too. */
export async function startXapiProxies(wire: Wire, members: readonly string[]): Promise<readonly Front[]> {
  const places = new Map<string, string>();
  const kind: Kind = {
    readsBody: true,
    describe(_request, body) {
      const { method, params } = decodeCall(String(body));
      // The first is the session; a login has none, and what it has is nobody's business.
      const args = method.startsWith('session.') ? [] : params.slice(1);
      // Of the plugin's functions each is a call of its own.
      const name = method.endsWith('host.call_plugin') ? `${method}:${args[2]}` : method;
      return { to: 'xapi', name, args };
    },
    refusal,
    rewrite(reply) {
      let text = reply.body.toString('latin1');
      for (const [real, place] of places) text = text.replaceAll(real, place);
      return { ...reply, body: Buffer.from(text, 'latin1') };
    },
  };
  const proxies = await Promise.all(members.map((url) => startProxy(wire, kind, url)));
  for (const [index, { url }] of proxies.entries())
    places.set(new URL(members[index] ?? '').host, new URL(url).host);
  return proxies;
}

function refusal(fault: Fault & { kind: 'error' | 'status' | 'garbage' }): Reply {
  if (fault.kind === 'garbage')
    return { status: 200, headers: XML, body: Buffer.from('<methodResponse><oops>\u0000') };
  if (fault.kind === 'status')
    return {
      status: fault.status,
      headers: { 'content-type': 'text/html' },
      body: Buffer.from('<html><body>HTTP 500 internal server error</body></html>'),
    };
  return {
    status: 200,
    headers: XML,
    body: Buffer.from(encodeFailure([fault.code, ...(fault.params ?? [])])),
  };
}
