import { planOf } from './plan.ts';
import { type Played, play } from './play.ts';

/** What a worker tells of each schedule. */
export interface Answer extends Pick<Played, 'wrong' | 'ended'> {
  readonly seed: number;
}

// Whoever asked for it is gone.
process.once('disconnect', () => process.exit());
process.on('message', async (seed: number) => {
  const { wrong, ended } = await play(planOf(seed)).catch((error: unknown) => ({
    wrong: [`the schedule could not be played: ${error instanceof Error ? error.stack : error}`],
    ended: {},
  }));
  const answer: Answer = { seed, wrong, ended };
  process.send?.(answer);
});
