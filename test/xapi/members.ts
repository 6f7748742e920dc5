import { createPoolClient, type PoolClient, type PoolClientOptions } from '../../xapi/client.ts';
import {
  type Certificate,
  failure,
  type RawAnswer,
  type RawRequest,
  type RawServer,
  startRawServer,
  success,
} from './raw-server.ts';

/** What a member answers to a method; without an entry it answers success with nothing. */
export type Script = Readonly<
  Record<string, (request: RawRequest, nth: number) => RawAnswer | Promise<RawAnswer>>
>;

export interface Member extends RawServer {
  /** Session references that were given out and not logged out. */
  readonly sessions: Set<string>;
}

export const credentials = { username: 'root', password: 'hunter2' };
export const slaveOf = (master: { port: number }): Script => ({
  'session.login_with_password': () => failure('HOST_IS_SLAVE', `127.0.0.1:${master.port}`),
});

/** Members and clients that a test starts, closed together. */
export function startedThings() {
  const things: { close(): Promise<void> }[] = [];
  return {
    /** A member of a pool that gives out sessions and answers other calls by the script. */
    async member(script: Script = {}, certificate?: Certificate): Promise<Member> {
      const sessions = new Set<string>();
      const asked = new Map<string, number>();
      const server = await startRawServer((request) => {
        const nth = (asked.get(request.method) ?? 0) + 1;
        asked.set(request.method, nth);
        const scripted = script[request.method]?.(request, nth);
        if (scripted !== undefined) return scripted;
        if (request.method === 'session.login_with_password') {
          const sessionRef = `OpaqueRef:session-${nth}`;
          sessions.add(sessionRef);
          return success(sessionRef);
        }
        if (request.method === 'session.logout') sessions.delete(sessionOf(request));
        return success('');
      }, certificate);
      things.push(server);
      return Object.assign(server, { sessions });
    },
    client(members: readonly { url: string }[], options: Partial<PoolClientOptions> = {}): PoolClient {
      const client = createPoolClient({ addresses: members.map(({ url }) => url), ...options });
      things.push(client);
      return client;
    },
    async close(): Promise<void> {
      for (const thing of things.splice(0).reverse()) await thing.close();
    },
  };
}

/** The session reference that a request carries. */
export function sessionOf(request: RawRequest): string {
  return /<string>(OpaqueRef:session-\d+)</.exec(request.body)?.[1] ?? '';
}
