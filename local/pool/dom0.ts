import { chmod, copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where a simulated control domain's xapi listens, below its root. */
export function xapiSocket(dom0Root: string): string {
  return join(dom0Root, 'var/lib/xcp/xapi');
}

/** Lays out what a plugin finds in a control domain. */
export async function makeDom0(
  dom0Root: string,
  { hostUuid, controlDomainUuid }: { hostUuid: string; controlDomainUuid: string },
): Promise<void> {
  const folders = ['dev', 'etc/xapi.d/plugins', 'var/lib/xcp', 'var/run/sr-mount', 'tmp'];
  for (const folder of folders) await mkdir(join(dom0Root, folder), { recursive: true });
  const inventory = [
    "PRODUCT_BRAND='XCP-ng'",
    `INSTALLATION_UUID='${hostUuid}'`,
    `CONTROL_DOMAIN_UUID='${controlDomainUuid}'`,
    "MANAGEMENT_INTERFACE='xenbr0'",
  ];
  await writeFile(join(dom0Root, 'etc/xensource-inventory'), `${inventory.join('\n')}\n`);
}

/** Puts a plugin where xapi looks for it, executable, as `glance`; null takes it away. */
export async function installPlugin(dom0Root: string, file: string | null): Promise<void> {
  const installed = join(dom0Root, 'etc/xapi.d/plugins/glance');
  await rm(installed, { force: true });
  if (file === null) return;
  await copyFile(file, installed);
  await chmod(installed, 0o755);
}
