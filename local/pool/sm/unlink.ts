import { randomBytes } from 'node:crypto';
import { readdir, readFile, readlink, realpath, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { PoolState, Storage } from '../state.ts';
import { SR_TYPES } from './types.ts';

const LOOK_MILLISECONDS = 50;

/**
 * Deletes a disk's file. On NFS one that a process of the same host has open becomes a `.nfs…` beside it until it is closed,
 * as the host's kernel has it; the host that deletes is the master. That readers on other hosts get ESTALE cannot be had
 * here: what they have open stays readable. Needs the SR's lock.
 */
export async function unlinkDisk(pool: PoolState, storage: Storage, path: string): Promise<void> {
  const master = pool.hosts.find(({ isMaster }) => isMaster);
  if (storage.type !== 'nfs' || !master || !(await isOpenIn(master.dom0Root, path))) {
    await rm(path, { force: true });
    return;
  }
  const silly = join(dirname(path), `.nfs${randomBytes(12).toString('hex')}`);
  await rename(path, silly);
  void removeWhenClosed(pool, master.dom0Root, silly);
}

/** A process of another host has a file open that the coalescer would delete. */
export class FileInUseElsewhere extends Error {
  override readonly name = 'FileInUseElsewhere';
}

/**
 * Before the coalescer deletes a file of a shared SR it has every other host look whether a process has it open
 * (cleanup.py, _checkSlaves, and sm's plugin nfs-on-slave); a host that hangs does not answer. Where `/var/run` is a link,
 * the real look compares names that never are the same, and finds nothing: this one always finds it.
 * @throws FileInUseElsewhere which ends the coalescer's run, for it is no error of sm's own kind
 */
export async function refuseInUseElsewhere(pool: PoolState, storage: Storage, path: string): Promise<void> {
  if (!SR_TYPES[storage.type].shared) return;
  for (const host of pool.hosts) {
    if (host.isMaster) continue;
    await host.hang?.over;
    if (await isOpenIn(host.dom0Root, path))
      throw new FileInUseElsewhere(`File ${path} in use on ${host.name}`);
  }
}

async function removeWhenClosed({ stopped }: PoolState, dom0Root: string, path: string): Promise<void> {
  while (!stopped.aborted && (await isOpenIn(dom0Root, path)))
    await delay(LOOK_MILLISECONDS, undefined, { ref: false });
  await rm(path, { force: true });
}

/**
 * Whether a process of a control domain, by the environment that its plugins have, has the file open; `inside` counts this
 * process as one of it.
 */
export async function isOpenIn(dom0Root: string, path: string, inside?: 'inside'): Promise<boolean> {
  const file = await realpath(path).catch(() => path);
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const open = await Promise.all(
    processes.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      const isOurs = inside !== undefined && pid === String(process.pid);
      if (!(isOurs || environment.split('\0').includes(`XENSNAP_DOM0_ROOT=${dom0Root}`))) return false;
      const names = await readdir(`/proc/${pid}/fd`).catch((): string[] => []);
      const targets = await Promise.all(
        names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => '')),
      );
      return targets.includes(file);
    }),
  );
  return open.includes(true);
}
