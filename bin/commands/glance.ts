import { Command } from 'commander';
import { readSecretFile } from '../files.ts';
import { examplesText, wholeNumber } from '../options.ts';
import { serveUntilStopped } from '../serve.ts';

interface GlanceOptions {
  readonly port: number;
  readonly data?: string;
  readonly tokenFile?: string;
}

export function glanceCommand(): Command {
  return new Command('glance')
    .description('Run an embedded Glance alone')
    .option('--port <port>', 'its port; 0: any', wholeNumber(0, 65_535), 0)
    .option('--data <folder>', 'for the images (default: a temporary one)')
    .option('--token-file <file>', 'the token that callers must send (default: none is asked for)')
    .addHelpText('after', examplesText(['glance --port 8702', 'glance --port 8702 --data ./images']))
    .action(async ({ port, data, tokenFile }: GlanceOptions) => {
      const token = tokenFile === undefined ? undefined : await readSecretFile(tokenFile);
      const { startGlance } = await import('../../local/glance/server.ts');
      await serveUntilStopped(data, async (dataDir) => {
        const server = await startGlance({ dataDir, port, ...(token !== undefined && { token }) });
        return { server, lines: [`glance ${server.url}`] };
      });
    });
}
