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
