#!/usr/bin/env node
/**
 * Runs the night of twenty thousand VMs on 400 hosts in 40 pools, with two and with four slots, and prints the table that
 * docs/night.md has. Minutes; other numbers: `node test/scale/night-cli.ts VMS POOLS HOSTS`.
 */
import { night } from './night.ts';
import { nightRows } from './night-figures.ts';

const [vms = 20_000, pools = 40, hosts = 400] = process.argv.slice(2).map(Number);
const nights: [string, string][][] = [];
for (const slots of [2, 4]) {
  const options = { vms, pools, hosts, slots, seed: 20260505 };
  nights.push(nightRows(options, await night(options)));
}
const [two = [], four = []] = nights;
const other = new Map(four);
console.log('| | 2 slots | 4 slots |\n|---|---|---|');
for (const [what, value] of two) console.log(`| ${what} | ${value} | ${other.get(what) ?? ''} |`);
