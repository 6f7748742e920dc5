import { type Command, Option } from 'commander';
import type { EventsView } from '../../functions/api/event-view.ts';
import { type AnyJob, ofEitherKind } from '../any-job.ts';
import { type ApiClient, createClient } from '../client.ts';
import { eventsReport } from '../events-report.ts';
import { type ApiOptions, apiCommand, print, show } from '../options.ts';
import { jobReport } from '../report.ts';
import { expectOutcome, waitForJob } from '../wait.ts';

const EXAMPLE_ID = '4b1f7a52-6d0e-4c39-8f5a-2f6f1f0f9f11';

interface JobOptions extends ApiOptions {
  readonly wait?: boolean;
  readonly events?: boolean;
}

export function jobCommand(): Command {
  return apiCommand('job', 'Show how a job stands', [
    `job ${EXAMPLE_ID}`,
    `job ${EXAMPLE_ID} --wait`,
    `job ${EXAMPLE_ID} --events`,
  ])
    .argument('<id>', "the job's id; of a snapshot it is its image's as well")
    .addOption(new Option('--wait', 'show the progress, and end when the job has').conflicts('events'))
    .option('--events', 'show what it has done, how often it tried, and why it waits now')
    .action(async (id: string, { wait, events, ...options }: JobOptions) => {
      if (events) return void (await show(options, (client) => eventsOf(client, id), eventsReport));
      if (!wait)
        return void (await show(options, async (client) => (await find(client, id)).answer, jobReport));
      const client = createClient(options);
      const { path } = await find(client, id);
      expectOutcome(await waitForJob(client, path, options.json ?? false), 'succeeded');
    });
}

function find(client: ApiClient, id: string) {
  return ofEitherKind(id, (path) => client.get<AnyJob>(path));
}

async function eventsOf(client: ApiClient, id: string): Promise<EventsView> {
  return (await ofEitherKind(id, (path) => client.get<EventsView>(`${path}/events`))).answer;
}

export function cancelCommand(): Command {
  return apiCommand('cancel', 'Cancel a job: it undoes what it has done', [
    `cancel ${EXAMPLE_ID}`,
    `cancel ${EXAMPLE_ID} --wait`,
  ])
    .argument('<id>', "the job's id")
    .option('--wait', 'end when the job has')
    .action(async (id: string, { wait, ...options }: ApiOptions & { wait?: boolean }) => {
      const { json = false } = options;
      const client = createClient(options);
      const { path, answer: job } = await ofEitherKind(id, (each) => client.delete<AnyJob>(each));
      if (wait) return expectOutcome(await waitForJob(client, path, json), 'cancelled');
      print(json ? JSON.stringify(job, null, 2) : `Job ${job.id} is being cancelled.`);
    });
}
