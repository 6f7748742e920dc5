import { afterAll, beforeAll, expect, it } from 'vitest';
import { aBrowser, NO_BROWSER } from '../../support/browser.ts';
import { type ServedApi, serveApi } from './served-api.ts';

let api: ServedApi;
beforeAll(async () => {
  api = await serveApi({ pool: { vms: 0 } });
});
afterAll(() => api[Symbol.asyncDispose]());

it('lets the page load nothing at all', async () => {
  const response = await fetch(`${api.url}/docs`);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toMatch(/^text\/html/);
  expect(response.headers.get('content-security-policy')).toMatch(
    /^default-src 'none'; style-src 'sha256-[\w+/=]+'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
  );
  const page = await response.text();
  expect(page).not.toMatch(/<script|javascript:| on\w+=|https?:\/\//i);
});

it.skipIf(NO_BROWSER)(
  'shows every operation of /openapi.json in a browser, which asks no other host',
  async () => {
    await using browser = await aBrowser();
    const page = await browser.newPage({ viewport: { width: 1100, height: 1600 } });
    const asked: string[] = [];
    const complaints: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(`${api.url}/docs`);
    const shown = await page
      .locator('details > summary')
      .evaluateAll((summaries) =>
        summaries.map(({ textContent }) => String(textContent).replaceAll(/\s+/g, ' ')),
      );
    const { body } = await api.ask('GET', '/openapi.json');
    const operations = Object.entries<Record<string, { summary: string }>>(body.paths).flatMap(
      ([path, methods]) =>
        Object.entries(methods).map(([method, { summary }]) => `${method.toUpperCase()}${path}${summary}`),
    );
    expect(shown.toSorted()).toEqual(operations.toSorted());
    const names = await page.locator('section:last-of-type h3').allTextContents();
    expect(names).toEqual(Object.keys(body.components.schemas));
    await page.locator('#requestSnapshot > summary').click();
    await page.locator('#requestSnapshot a[href="#schema-NewSnapshot"]').click();
    expect(await page.locator('#schema-NewSnapshot').isVisible()).toBe(true);
    expect(complaints).toEqual([]);
    expect(asked.filter((url) => !/^data:/.test(url) && new URL(url).origin !== api.url)).toEqual([]);
    // The style is applied, so that the policy lets it.
    expect(await page.evaluate("getComputedStyle(document.querySelector('.method.post')).color")).toBe(
      'rgb(255, 255, 255)',
    );
    if (process.env.XENSNAP_SCREENSHOT)
      await page.screenshot({ path: process.env.XENSNAP_SCREENSHOT, fullPage: false });
  },
  180_000,
);

it.skipIf(NO_BROWSER)(
  'reads on a phone as it is: nothing wider than the screen, no column squeezed, no backtick, an example of each request',
  async () => {
    await using browser = await aBrowser();
    const page = await browser.newPage({ viewport: { width: 390, height: 844 } });
    await page.goto(`${api.url}/docs`);
    await page.locator('details').evaluateAll((all) => {
      for (const each of all) each.setAttribute('open', '');
    });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
    const widths = await page
      .locator('tr')
      .evaluateAll((rows) =>
        rows.map((row) =>
          Math.min(
            ...[...row.children].map((cell) => cell.clientWidth / (row.closest('table')?.clientWidth ?? 1)),
          ),
        ),
      );
    expect(widths.length).toBeGreaterThan(200);
    expect(Math.min(...widths)).toBeGreaterThan(0.95);
    expect(await page.locator('body').innerText()).not.toContain('`');
    expect(await page.locator('details p code').count()).toBeGreaterThan(3);
    const examples = await page
      .locator('details')
      .evaluateAll((all) => all.map((each) => each.querySelector('pre')?.textContent ?? ''));
    for (const example of examples) expect(example).toMatch(/^curl( -X [A-Z]+)? "\$XENSNAP_API\//);
    if (process.env.XENSNAP_SCREENSHOT_NARROW)
      await page.locator('#requestSnapshot').screenshot({ path: process.env.XENSNAP_SCREENSHOT_NARROW });
  },
  180_000,
);

it('gives examples that the API takes', async () => {
  await api.pool.addVm({ name: 'web-1' });
  const page = (await (await fetch(`${api.url}/docs`)).text())
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'");
  const examples = [
    ...page.matchAll(
      /curl -X (\w+) "\$XENSNAP_API([^"]+)" \\\n {2}-H "X-Auth-Token: \$TOKEN" \\\n {2}-H 'Content-Type: application\/json' \\\n {2}-d '([^']+)'/g,
    ),
  ];
  const { body } = await api.ask('GET', '/openapi.json');
  const withBody = Object.values<Record<string, { requestBody?: object }>>(body.paths).flatMap((methods) =>
    Object.values(methods).filter(({ requestBody }) => requestBody),
  );
  expect(examples).toHaveLength(withBody.length);
  for (const [, method = '', path = '', text] of examples) {
    const answer = await api.ask(method, path.replace('$ID', crypto.randomUUID()), text);
    expect([202, 201, 404, 501], `${method} ${path} ${text}`).toContain(answer.status);
  }
});
