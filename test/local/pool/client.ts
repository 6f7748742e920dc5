import xmlrpc from 'xmlrpc';

/** Calls a pool with npm's xmlrpc, which knows nothing of our own codec. */
export interface TestClient {
  readonly session: string;
  call(method: string, ...params: unknown[]): Promise<unknown>;
  /** The failure's ErrorDescription. */
  fails(method: string, ...params: unknown[]): Promise<string[]>;
  /** Starts `Async.<method>` and waits for its end: the task's record. */
  task(method: string, ...params: unknown[]): Promise<Record<string, unknown>>;
}

interface Response {
  Status: string;
  Value?: unknown;
  ErrorDescription?: string[];
}

/** One call without a session. */
export function request(url: string, method: string, ...params: unknown[]): Promise<Response> {
  return new Promise((resolve, reject) => {
    // A kept connection might be one that the pool has cut.
    xmlrpc
      .createClient({ url, headers: { Connection: 'close' } })
      .methodCall(method, params, (error: unknown, value: unknown) => {
        if (error) reject(error);
        else resolve(value as Response);
      });
  });
}

export async function logIn(url: string, username: string, password: string): Promise<TestClient> {
  const login = await request(url, 'session.login_with_password', username, password, '1.0', 'test');
  const session = String(login.Value);
  const call = async (method: string, ...params: unknown[]): Promise<unknown> => {
    const response = await request(url, method, session, ...params);
    if (response.Status !== 'Success') throw new Error(response.ErrorDescription?.join(' '));
    return response.Value;
  };
  return {
    session,
    call,
    fails: async (method, ...params) => {
      const { ErrorDescription } = await request(url, method, session, ...params);
      return ErrorDescription ?? [];
    },
    task: async (method, ...params) => {
      const task = await call(`Async.${method}`, ...params);
      for (;;) {
        const record = (await call('task.get_record', task)) as Record<string, unknown>;
        if (record.status !== 'pending') return { ...record, ref: task };
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  };
}
