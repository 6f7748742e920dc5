import { Command } from 'commander';
import { type Access, accessLine, accessOf } from '../access.ts';
import { readSecretFile } from '../files.ts';
import { examplesText, wholeNumber } from '../options.ts';
import { serveUntilStopped } from '../serve.ts';

interface GlanceOptions {
  readonly port: number;
  readonly data?: string;
  readonly tokenFile?: string;
  readonly auth: boolean;
}

export function glanceCommand(): Command {
  return new Command('glance')
    .description('Run an embedded Glance alone')
    .option('--port <port>', 'its port; 0: any', wholeNumber(0, 65_535), 0)
    .option('--data <folder>', 'for the images (default: a temporary one)')
    .option('--token-file <file>', 'the token that callers must send (default: one that is made and kept)')
    .option('--no-auth', 'ask for no token: whoever reaches the port may read and delete images')
    .addHelpText('after', examplesText(['glance --port 8702', 'glance --port 8702 --data ./images']))
    .action(async ({ port, data, tokenFile: file, auth }: GlanceOptions) => {
      const access: Access =
        file === undefined ? await accessOf(auth, data) : { token: await readSecretFile(file), file };
      const { startGlance } = await import('../../local/glance/server.ts');
      await serveUntilStopped(
        data,
        async (dataDir) => {
          const server = await startGlance({ dataDir, port, ...(access && { token: access.token }) });
          return { server, lines: [`glance ${server.url}`, ...accessLine(access)] };
        },
        { portFlag: () => '--port' },
      );
    });
}
