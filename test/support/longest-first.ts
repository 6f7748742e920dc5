import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { randomOf } from '../scale/random.ts';

/**
 * The files that take longest by the clock, mostly waiting. Begun last, one of them would run alone at the end while the
 * other workers had nothing to do.
 */
const LONGEST = [
  'pipeline/host-away',
  'pipeline/restore-trouble',
  'pipeline/restore-failure',
  'pipeline/restore-weekly',
  'pipeline/restore-tested',
  'pipeline/blips',
  'pipeline/capacity',
  'pipeline/quiesce',
  'pipeline/backup',
  'bin/backends',
  'scale/schedules',
  'pipeline/two-installations',
  'pipeline/chain-changed',
  'pipeline/gone',
  'vhds/agree',
  'pipeline/schedules',
  'cdk/bundles',
  'kill/wire',
  'regular-expressions',
  'pipeline/limits',
  'pipeline/any-sr',
  'pipeline/recovery',
  'pipeline/killed-tick',
  'pipeline/trouble-upload',
];

/** Begins with the longest files; the others follow in an order of chance, which the seed decides. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const { seed } = this.ctx.config.sequence;
    this.ctx.logger.log(`order of the files: --sequence.seed ${seed}`);
    const random = randomOf(seed);
    const rank = ({ moduleId }: TestSpecification) => {
      const found = LONGEST.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
      return found === -1 ? LONGEST.length + random() : found;
    };
    return files
      .toSorted((one, other) => (one.moduleId < other.moduleId ? -1 : 1))
      .map((file) => ({ file, rank: rank(file) }))
      .toSorted((one, other) => one.rank - other.rank)
      .map(({ file }) => file);
  }
}
