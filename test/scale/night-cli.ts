#!/usr/bin/env node
/**
 * Runs the night of twenty thousand VMs on 400 hosts in 40 pools, with two slots a host and with four, and prints the table
 * that docs/night.md has. It takes minutes, each night a process of its own. Other numbers: VMS POOLS HOSTS.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { night } from './night.ts';
import { nightRows } from './night-figures.ts';

const [vms = 20_000, pools = 40, hosts = 400, slots] = process.argv.slice(2).map(Number);
if (slots !== undefined) {
  const options = { vms, pools, hosts, slots, seed: 20260505 };
  console.log(JSON.stringify(nightRows(options, await night(options))));
} else {
  const [two = [], four = []] = await Promise.all([2, 4].map(rowsOf));
  const other = new Map(four);
  console.log('| | 2 slots | 4 slots |\n|---|---|---|');
  for (const [what, value] of two) console.log(`| ${what} | ${value} | ${other.get(what) ?? ''} |`);
}

async function rowsOf(slots: number): Promise<[what: string, value: string][]> {
  const args = [import.meta.filename, ...[vms, pools, hosts, slots].map(String)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout);
}
