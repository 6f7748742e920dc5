import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { askApi } from '../../support/servers.ts';
import type { Answers, Settings, Told } from './service.ts';

const SERVICE = fileURLToPath(new URL('service.ts', import.meta.url));

export type Api = Parameters<typeof askApi>[0];

/** The service, in a process whose memory is its own. */
export interface ServiceProcess {
  readonly api: Api;
  /** One question at a time. */
  ask<K extends keyof Answers>(what: K): Promise<Answers[K]>;
  end(): Promise<void>;
}

/** Starts it; `hear` is told what it tells by itself. */
export async function startProcess(settings: Settings, hear: (told: Told) => void): Promise<ServiceProcess> {
  const child = fork(SERVICE, [JSON.stringify(settings)], { execArgv: ['--expose-gc'] });
  const heard = Promise.withResolvers<Api>();
  let answered = Promise.withResolvers<Answers[keyof Answers]>();
  child.on('message', (told: Told) => {
    hear(told);
    if ('ready' in told) heard.resolve(told.ready);
    if ('answer' in told) answered.resolve(told.answer);
    if ('failed' in told) answered.reject(new Error(told.failed));
  });
  child.once('exit', (code) => {
    const error = new Error(`the service ended with ${code}`);
    heard.reject(error);
    answered.reject(error);
  });
  const api = await heard.promise;
  let asking: Promise<unknown> = Promise.resolve();
  return {
    api,
    ask<K extends keyof Answers>(what: K) {
      const answer = asking.then(async () => {
        answered = Promise.withResolvers();
        child.send(what);
        return (await answered.promise) as Answers[K];
      });
      asking = answer.catch(() => {});
      return answer;
    },
    end: () => ended(child),
  };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.send('end');
  await once(child, 'exit', { signal: AbortSignal.timeout(20_000) }).catch(() => child.kill('SIGKILL'));
}
