import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ServedApi, serveApi } from './served-api.ts';

let api: ServedApi;
let id: string;
beforeAll(async () => {
  api = await serveApi({
    pool: { vms: 1 },
    api: { janitor: () => Promise.reject(new Error('the janitor was run')) },
  });
  id = api.pool.vms()[0]?.uuid ?? '';
});
afterAll(() => api[Symbol.asyncDispose]());

const nightly = { daily: { at: '02:00' }, keep: 1 };

/** Requests that do something, in each of the three APIs. */
const REQUESTS = (): [string, string, object, string][] => [
  ['POST', '/snapshots', { vm: id }, 'error'],
  ['DELETE', `/snapshots/${id}`, {}, 'error'],
  ['POST', '/schedules', { vm: id, ...nightly }, 'error'],
  ['PUT', `/schedules/${id}`, { vm: id, ...nightly }, 'error'],
  ['DELETE', `/schedules/${id}`, {}, 'error'],
  ['POST', '/janitor', {}, 'error'],
  ['PATCH', '/nothing', {}, 'error'],
  ['POST', `/v2.1/servers/${id}/action`, { createImage: { name: 'x' } }, 'badMediaType'],
  ['PUT', `/v2.1/servers/${id}`, {}, 'badMediaType'],
  ['POST', '/v1.0/images', { image: { serverId: id, name: 'x' } }, 'badMediaType'],
  [
    'POST',
    `/v1.0/servers/${id}/backup_schedule`,
    { backupSchedule: { enabled: true, daily: 'H_0200_0400' } },
    'badMediaType',
  ],
  ['DELETE', `/v1.0/servers/${id}/backup_schedule`, {}, 'badMediaType'],
];

it.each([
  'text/plain',
  'text/plain;charset=UTF-8',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'application/json; charset=utf-7',
  'application/jsonp',
  'text/plain, application/json',
  // A Blob without a type: no header at all.
  undefined,
])('reads no body of the type %s as JSON, and does nothing', async (type) => {
  for (const [method, path, body, field] of REQUESTS()) {
    const response = await fetch(`${api.url}${path}`, {
      method,
      headers: { ...(type && { 'content-type': type }) },
      body: new Blob([JSON.stringify(body)]),
    });
    const answer = (await response.json()) as object;
    expect([method, path, response.status, Object.keys(answer)]).toEqual([method, path, 415, [field]]);
  }
  expect(api.started).toEqual([]);
  expect((await api.ask('GET', '/schedules')).body.schedules).toEqual([]);
});

it.each(['application/json', 'Application/JSON;charset=UTF-8', 'application/json; charset="utf-8"'])(
  'takes %s',
  async (type) => {
    const { status } = await api.ask('POST', '/snapshots', { vm: 'nobody' }, { 'content-type': type });
    expect(status).toBe(404);
  },
);
