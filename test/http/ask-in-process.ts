import { askOnce, CLIENTS } from './asking.ts';

/** Run by itself, with an environment that says which authorities count: how each client fares with the server. */
const [url = ''] = process.argv.slice(2);
for (const client of Object.keys(CLIENTS) as (keyof typeof CLIENTS)[])
  process.stdout.write(`${client} ${await askOnce(client, url, {})}\n`);
