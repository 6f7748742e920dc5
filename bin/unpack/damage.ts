import { CommandFailure } from '../failures.ts';

/** An image's data is not what xensnap sends: the message says where, and what is wrong. */
export class ImageDamaged extends CommandFailure {
  override readonly name = 'ImageDamaged';
}

/** @throws ImageDamaged unless `holds` */
export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new ImageDamaged(what);
}
