import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { readSecretFile } from '../files.ts';
import { examplesText, wholeNumber } from '../options.ts';
import { serveUntilStopped } from '../serve.ts';

interface PoolOptions {
  readonly port: number;
  readonly hosts: number;
  readonly vms: number;
  readonly diskMib: number;
  readonly data?: string;
  readonly quiesce: boolean;
  readonly passwordFile?: string;
}

const PLUGIN = fileURLToPath(new URL('../../plugin/glance', import.meta.url));

export function poolCommand(): Command {
  return new Command('pool')
    .description('Run a simulated XenServer pool alone')
    .option(
      '--port <port>',
      "the master's; the other hosts take the next ones; 0: any",
      wholeNumber(0, 65_535),
      0,
    )
    .option('--hosts <number>', 'number of hosts', wholeNumber(1, 16), 2)
    .option('--vms <number>', 'number of VMs', wholeNumber(0, 10_000), 6)
    .option('--disk-mib <mib>', 'size of each disk', wholeNumber(1, 1_048_576), 64)
    .option('--data <folder>', "for the storage's files (default: a temporary one)")
    .option('--quiesce', 'be a release that has VM.snapshot_with_quiesce', false)
    .option('--password-file <file>', "root's password (default: a random one)")
    .addHelpText('after', examplesText(['pool --port 8701', 'pool --port 8701 --hosts 3 --vms 20 --quiesce']))
    .action(async ({ data, passwordFile, ...options }: PoolOptions) => {
      const password = passwordFile === undefined ? undefined : await readSecretFile(passwordFile);
      const { startPool } = await import('../../local/pool/pool.ts');
      await serveUntilStopped(
        data,
        async (dataDir) => {
          const server = await startPool({
            ...options,
            dataDir,
            pluginFile: PLUGIN,
            ...(password !== undefined && { password }),
          });
          return { server, lines: [`pool ${server.url} ${server.username} ${server.password}`] };
        },
        { portFlag: () => '--port' },
      );
    });
}
