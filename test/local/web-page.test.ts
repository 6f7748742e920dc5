import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { aBrowser, NO_BROWSER } from '../support/browser.ts';
import { type Scenario, scenario } from '../support/scenario.ts';

const closing: (() => Promise<unknown>)[] = [];
let running: Scenario;
let strange = '';

/** A service that asks for no token, so that nothing but its own looks at the page stands before it. */
beforeAll(async () => {
  running = await scenario({
    pool: { vms: 1 },
    service: { token: 'none' },
    atEnd: (close) => void closing.unshift(close),
  });
  const page = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html').end('<title>a page of another origin</title>');
  }).listen(0, '127.0.0.1');
  await once(page, 'listening');
  closing.unshift(() => new Promise((resolve) => page.close(resolve)));
  strange = `http://127.0.0.1:${(page.address() as AddressInfo).port}/`;
});
afterAll(async () => {
  for (const close of closing) await close();
});

interface Sent {
  readonly url: string;
  readonly method: string;
  readonly type?: string;
  readonly body?: string;
  readonly mode?: 'cors' | 'no-cors';
}

/** What a page of another origin may try: simple requests, which are sent without asking, and others, which are not. */
function attacks(api: string, glance: string): Sent[] {
  const vm = running.pool.vms()[0]?.uuid ?? '';
  const post = (url: string, body: object): Sent[] =>
    (['text/plain', 'application/json', 'application/x-www-form-urlencoded'] as const).flatMap((type) =>
      (['cors', 'no-cors'] as const).map((mode) => ({
        url,
        method: 'POST',
        type,
        mode,
        body: JSON.stringify(body),
      })),
    );
  return [
    ...post(`${api}/snapshots`, { vm }),
    ...post(`${api}/janitor`, {}),
    ...post(`${api}/schedules`, { vm, daily: { at: '02:00' }, keep: 1 }),
    ...post(`${api}/v2.1/servers/${vm}/action`, { createImage: { name: 'x' } }),
    ...post(`${api}/v1.0/images`, { image: { serverId: vm, name: 'x' } }),
    ...post(`${glance}/v2/images`, { name: 'x', disk_format: 'raw', container_format: 'bare' }),
    { url: `${api}/janitor`, method: 'POST' },
    { url: `${api}/vms`, method: 'GET' },
    { url: `${api}/vms`, method: 'GET', mode: 'no-cors' },
    { url: `${api}/healthz`, method: 'GET' },
    { url: `${glance}/v2/images`, method: 'GET' },
    { url: `${api}/schedules/${vm}`, method: 'DELETE' },
    { url: `${glance}/v2/images/${vm}`, method: 'DELETE' },
  ];
}

/** What the browser got for it: the answer's status, and its text if the page may read that. */
function send(page: Page, sent: Sent): Promise<string> {
  return page.evaluate(async ({ url, method, type, body, mode }) => {
    try {
      const response = await fetch(url, {
        method,
        mode: mode ?? 'cors',
        ...(type && { headers: { 'content-type': type } }),
        ...(body && { body }),
      });
      return `${response.type} ${response.status} ${await response.text()}`;
    } catch (error) {
      return String(error);
    }
  }, sent);
}

async function effects() {
  const { ask, glance } = running;
  const lists = await Promise.all(['/snapshots', '/schedules', '/janitor'].map((path) => ask('GET', path)));
  return { lists: lists.map(({ status, body }) => ({ status, body })), images: glance.images() };
}

it.skipIf(NO_BROWSER)('lets a page of another origin read nothing and do nothing', async () => {
  const before = await effects();
  await using browser = await aBrowser();
  const page = await browser.newPage();
  const answered: string[] = [];
  page.on('response', (response) => {
    if (!response.url().startsWith(strange))
      answered.push(`${response.status()} ${response.request().method()} ${response.url()}`);
  });
  await page.goto(strange);
  for (const sent of attacks(running.service.apiUrl, running.glance.url)) {
    const got = await send(page, sent);
    expect([sent, got]).toEqual([sent, expect.stringMatching(/^(TypeError: Failed to fetch|opaque 0 )$/)]);
  }
  expect(answered.length).toBeGreaterThan(15);
  expect(answered.filter((line) => !line.startsWith('403 '))).toEqual([]);
  // A form, which a page may send anywhere, and whose answer is shown.
  await page.setContent(
    `<form method="post" enctype="text/plain" action="${running.service.apiUrl}/janitor"><input name='{"a":"' value='"}'></form>`,
  );
  const [shown] = await Promise.all([
    page.waitForResponse((response) => response.url().endsWith('/janitor')),
    page.evaluate('document.querySelector("form").submit()'),
  ]);
  expect(shown.status()).toBe(403);
  expect(await effects()).toEqual(before);
});

it.skipIf(NO_BROWSER)('serves nothing under a name that was made to lead here', async () => {
  const before = await effects();
  await using browser = await aBrowser('--host-resolver-rules=MAP evil.example 127.0.0.1');
  for (const own of [running.service.apiUrl, running.glance.url]) {
    const evil = own.replace('127.0.0.1', 'evil.example');
    const page = await browser.newPage();
    // From here on the page is of the very origin that it asks, as far as the browser can tell.
    expect((await page.goto(`${evil}/docs`))?.status()).toBe(421);
    for (const sent of attacks(evil, evil))
      expect([sent, await send(page, sent)]).toEqual([sent, expect.stringMatching(/^basic 421 /)]);
  }
  expect(await effects()).toEqual(before);
});

it.skipIf(NO_BROWSER)('shows its pages to who opens them, also by a link', async () => {
  await using browser = await aBrowser();
  const page = await browser.newPage();
  const direct = await page.goto(`${running.service.apiUrl}/docs`);
  expect(direct?.status()).toBe(200);
  await page.goto(strange);
  await page.setContent(`<a href="${running.service.apiUrl}/docs">read</a>`);
  const [linked] = await Promise.all([page.waitForNavigation(), page.click('a')]);
  expect(linked?.status()).toBe(200);
});

it.each(['null', 'http://evil.example', 'https://127.0.0.1', 'http://127.0.0.1:1', 'http://localhost'])(
  'refuses the Origin %s, and every question whether it may ask',
  async (origin) => {
    for (const url of [running.service.apiUrl, running.glance.url]) {
      const answer = await fetch(`${url}/`, { headers: { origin } });
      expect(answer.status).toBe(403);
      const preflight = await fetch(`${url}/snapshots`, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'POST' },
      });
      expect(preflight.status).toBe(403);
      expect([...preflight.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
    }
  },
);
