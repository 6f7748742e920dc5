import { type Command, Option } from 'commander';
import type { EventsView } from '../../functions/api/event-view.ts';
import type { JobView } from '../../functions/api/view.ts';
import { createClient } from '../client.ts';
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
    .argument('<id>', "the job's id, which is its image's as well")
    .addOption(new Option('--wait', 'show the progress, and end when the job has').conflicts('events'))
    .option('--events', 'show what it has done, how often it tried, and why it waits now')
    .action(async (id: string, { wait, events, ...options }: JobOptions) => {
      if (events)
        return void (await show(
          options,
          (client) => client.get<EventsView>(`${pathOf(id)}/events`),
          eventsReport,
        ));
      if (wait)
        return expectOutcome(await waitForJob(createClient(options), id, options.json ?? false), 'succeeded');
      await show(options, (client) => client.get<JobView>(pathOf(id)), jobReport);
    });
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
      const job = await client.delete<JobView>(pathOf(id));
      if (wait) return expectOutcome(await waitForJob(client, job.id, json), 'cancelled');
      print(json ? JSON.stringify(job, null, 2) : `Job ${job.id} is being cancelled.`);
    });
}

function pathOf(id: string): string {
  return `/snapshots/${encodeURIComponent(id)}`;
}
