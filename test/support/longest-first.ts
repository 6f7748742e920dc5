import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { randomOf } from '../scale/random.ts';

/**
 * The files that take longest by the clock, mostly waiting. Begun last, one of them would run alone at the end while the
 * other workers had nothing to do.
 */
const LONGEST = [
  'pipeline/host-away',
  'pipeline/restore-trouble',
  'pipeline/restore-disks',
  'pipeline/restore-into-meanwhile',
  'pipeline/restore-into',
  'pipeline/quiesce',
  'vhds/restore',
  'pipeline/restore-tested',
  'pipeline/limits',
  'pipeline/blips',
  'pipeline/backup',
  'bin/access',
  'pipeline/two-installations',
  'bin/unpack-tar',
  'vhds/agree',
  'pipeline/schedules',
  'pipeline/bundle',
  'pipeline/trouble',
  'pipeline/trouble-upload',
  'pipeline/restore-weekly',
  'pipeline/restore-failure',
  'kill/wire',
  'pipeline/trouble-glance',
  'kill/enumerate',
  'scale/schedules',
  'scale/night',
  'pipeline/storage-race',
  'cdk/bundles',
  'regular-expressions',
  'pipeline/any-sr',
  'pipeline/recovery',
  'pipeline/killed-tick',
  'pipeline/capacity',
  'bin/backends',
  'pipeline/chain-changed',
  'pipeline/gone',
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
