import { CommandFailure } from '../failures.ts';

/** An image's data is not what it should be: the message says where, and what is wrong. */
export class ImageDamaged extends CommandFailure {
  override readonly name = 'ImageDamaged';
}

/** An image's data is whole, but has to be read more than once, and can't be. */
export class OutOfOrder extends CommandFailure {
  override readonly name = 'OutOfOrder';
}

/** @throws ImageDamaged unless `holds` */
export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new ImageDamaged(what);
}
