import { expect, it } from 'vitest';
import { aClient, anImage, aServer, failure } from './fake.ts';

const TOKEN = 'gAAAA-secret';

it('sends the token before each request afresh, and none when there is none', async () => {
  const seen: unknown[] = [];
  const url = await aServer((req, res) => {
    seen.push(req.headers['x-auth-token']);
    res.end(JSON.stringify(anImage('i')));
  });
  const tokens = ['one', 'two', undefined];
  const glance = aClient({ url, token: async () => tokens.shift() });
  for (let count = 0; count < 3; count++) await glance.getImage('i');
  expect(seen).toEqual(['one', 'two', undefined]);
});

it('keeps its connections', async () => {
  const ports = new Set<unknown>();
  const url = await aServer((req, res) => {
    ports.add(req.socket.remotePort);
    res.end(JSON.stringify(anImage('i')));
  });
  const glance = aClient({ url });
  for (let count = 0; count < 10; count++) await glance.getImage('i');
  // The second request may come before the first one's connection is free again.
  expect(ports.size).toBeLessThanOrEqual(2);
});

it('tells attributes and custom properties apart', async () => {
  const url = await aServer((_, res) => void res.end(JSON.stringify(anImage('i'))));
  expect(await aClient({ url }).getImage('i')).toEqual({
    id: 'i',
    minDisk: 0,
    name: 'i',
    status: 'active',
    sizeBytes: 3,
    checksum: null,
    osHashAlgo: null,
    osHashValue: null,
    diskFormat: null,
    containerFormat: null,
    visibility: 'private',
    owner: null,
    protected: false,
    createdAt: '2026-01-02T03:04:05Z',
    updatedAt: '2026-01-02T03:04:06Z',
    properties: { xensnap_job: 'i' },
  });
});

it.each([
  [300, 'GlanceBadRequest'],
  [400, 'GlanceBadRequest'],
  [401, 'GlanceUnauthorized'],
  [402, 'GlanceBadRequest'],
  [403, 'GlanceForbidden'],
  [404, 'GlanceNotFound'],
  [408, 'GlanceUnavailable'],
  [409, 'GlanceConflict'],
  [410, 'GlanceNotFound'],
  [413, 'GlanceTooLarge'],
  [415, 'GlanceBadRequest'],
  [429, 'GlanceUnavailable'],
  [500, 'GlanceUnavailable'],
  [503, 'GlanceUnavailable'],
])('calls the status %i %s, asks once, and never shows the token', async (status, name) => {
  let asked = 0;
  const url = await aServer((_, res) => {
    asked += 1;
    res.writeHead(status, { 'content-type': 'text/html' });
    res.end(
      '<html><head><title>T</title></head><body><h1>Oh</h1>It is &lt;so&gt;.<br /><br /></body></html>',
    );
  });
  const glance = aClient({ url, token: async () => TOKEN });
  const said = await failure(glance.updateImage('i', { a: '1' }));
  expect(said).toContain(`${name}: PATCH ${url}/v2/images/i was answered ${status} (It is <so>.)`);
  expect(said).not.toContain(TOKEN);
  expect(asked).toBe(1);
});

it('hides the token in what a refusal quotes of the request, also where the text is cut off in it', async () => {
  for (const before of ['', 'x'.repeat(290)]) {
    const url = await aServer(
      (_, res) => void res.writeHead(403).end(`${before} X-Auth-Token: ${TOKEN} is no good`),
    );
    const said = await failure(aClient({ url, token: async () => TOKEN }).getImage('i'));
    expect(said).toMatch(/^GlanceForbidden: /);
    expect(said).not.toContain(TOKEN.slice(0, 4));
  }
});

it('asks once more with the next token after a 401, if it was told how to get one', async () => {
  const tokens = ['old', 'new'];
  const sent: unknown[] = [];
  const url = await aServer(({ headers }, res) => {
    sent.push(headers['x-auth-token']);
    const isNew = headers['x-auth-token'] === 'new';
    res.writeHead(isNew ? 204 : 401).end();
  });
  const glance = aClient({ url, token: async () => tokens[0], forgetToken: () => tokens.shift() });
  await glance.deleteImage('i');
  expect(sent).toEqual(['old', 'new']);
});

it('says whether a 401 means that the token is bad or that one is missing', async () => {
  const url = await aServer((_, res) => void res.writeHead(401).end());
  expect(await failure(aClient({ url }).getImage('i'))).toMatch(/Glance wants a token/);
  expect(await failure(aClient({ url, token: async () => 'x' }).getImage('i'))).toMatch(/has expired/);
});

it('refuses a token that cannot stand in a header, without showing it', async () => {
  const url = await aServer((_, res) => void res.end());
  const said = await failure(aClient({ url, token: async () => `${TOKEN}\n` }).getImage('i'));
  expect(said).toMatch(/^GlanceUnauthorized: .*cannot stand in a header/);
  expect(said).not.toContain(TOKEN);
});

it('calls a server that is not there unavailable, with the cause', async () => {
  const call = aClient({ url: 'http://127.0.0.1:1' }).getImage('i');
  await expect(call).rejects.toMatchObject({ name: 'GlanceUnavailable', cause: { code: 'ECONNREFUSED' } });
  expect(await failure(call)).toMatch(
    /Glance at http:\/\/127\.0\.0\.1:1 did not answer GET \/v2\/images\/i: .*ECONNREFUSED/,
  );
});

it('gives up on a server that says nothing, or not all', async () => {
  const silent = await aServer(() => undefined);
  expect(await failure(aClient({ url: silent, timeoutSeconds: 0.05 }).getImage('i'))).toMatch(
    /^GlanceUnavailable: /,
  );
  const slow = await aServer((_, res) => void res.write('{'));
  expect(await failure(aClient({ url: slow, timeoutSeconds: 0.05 }).getImage('i'))).toMatch(
    /^GlanceUnavailable: /,
  );
  const torn = await aServer((req, res) => {
    res.writeHead(200, { 'content-length': 100 }).write('{', () => req.socket.destroy());
  });
  expect(await failure(aClient({ url: torn }).getImage('i'))).toMatch(/^GlanceUnavailable: /);
});

it.each(['<html>Please log in</html>', '{}', '[]', '{"id":"i"}'])(
  'does not take %j for a Glance',
  async (text) => {
    const url = await aServer((_, res) => void res.end(text));
    expect(await failure(aClient({ url }).getImage('i'))).toMatch(
      /^GlanceUnavailable: .*did not answer as a Glance v2 does/,
    );
    expect(await failure(aClient({ url }).listImages().next())).toMatch(/^GlanceUnavailable: /);
  },
);

it('takes the endpoint with or without /v2, and keeps a path before it', async () => {
  const seen: unknown[] = [];
  const url = await aServer((req, res) => {
    seen.push(req.url);
    res.end(JSON.stringify(anImage('i')));
  });
  for (const end of ['', '/', '/v2', '/v2/', '/image', '/image/v2/'])
    await aClient({ url: url + end }).getImage('i');
  expect(seen).toEqual([...Array(4).fill('/v2/images/i'), ...Array(2).fill('/image/v2/images/i')]);
  expect(() => aClient({ url: 'glance:9292' })).toThrow(/is no http\(s\) URL/);
});

it('never addresses anything but one image', async () => {
  const seen: unknown[] = [];
  const url = await aServer((req, res) => {
    seen.push(req.url);
    res.writeHead(404).end();
  });
  const glance = aClient({ url });
  await glance.deleteImage('../tasks?x');
  // Once to delete it, once to look.
  expect(seen).toEqual(['/v2/images/..%2Ftasks%3Fx', '/v2/images/..%2Ftasks%3Fx']);
  expect(await failure(glance.deleteImage(''))).toMatch(/^GlanceBadRequest: /);
});

it('finds out whether Glance takes the token, and its newest version if it names one', async () => {
  const answers: Record<string, [number, string]> = {
    '/v2/images?limit=1': [200, '{"images":[]}'],
    '/': [300, '{"versions":[{"id":"v2.9","status":"SUPPORTED"},{"id":"v2.15","status":"CURRENT"}]}'],
  };
  const url = await aServer((req, res) => {
    const [status, text] = answers[req.url ?? ''] ?? [404, ''];
    res.writeHead(status).end(text);
  });
  expect(await aClient({ url }).check()).toEqual({ version: 'v2.15' });
  answers['/'] = [404, 'no'];
  expect(await aClient({ url }).check()).toEqual({ version: null });
  answers['/v2/images?limit=1'] = [401, 'no'];
  expect(await failure(aClient({ url }).check())).toMatch(/^GlanceUnauthorized: /);
});

it('takes an image for deleted by others only once a look does not find it', async () => {
  let isThere = true;
  const url = await aServer((req, res) => {
    if (req.method === 'DELETE' || !isThere) res.writeHead(404).end();
    else res.writeHead(200).end(JSON.stringify(anImage('i')));
  });
  const glance = aClient({ url });
  expect(await failure(glance.deleteImage('i'))).toMatch(/^GlanceUnavailable: .*404.*and has it/);
  isThere = false;
  await glance.deleteImage('i');
});
