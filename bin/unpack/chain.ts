import { must } from './damage.ts';

/** A VHD of an image that has been read. */
export interface Layer {
  readonly name: string;
  readonly uuid: string;
  readonly parentUuid: string | undefined;
  /** Size of the file. */
  readonly bytes: number;
  readonly virtualBytes: number;
  readonly blockBytes: number;
  readonly fixed: boolean;
}

/**
 * The order of an image's VHDs, leaf first, by what each says of its parent: names say nothing of it in the oldest images.
 * @throws ImageDamaged unless they are one chain
 */
export function chainOf(layers: readonly Layer[]): [Layer, ...Layer[]] {
  must(layers.length > 0, 'it holds no VHD');
  const byUuid = Map.groupBy(layers, ({ uuid }) => uuid);
  for (const [uuid, [one, other]] of byUuid)
    must(!other, `${other?.name} and ${one?.name} are the same disk, ${uuid}`);
  for (const { name, parentUuid } of layers)
    must(!parentUuid || byUuid.has(parentUuid), `the parent of ${name}, ${parentUuid}, is missing`);
  const parents = new Set(layers.map(({ parentUuid }) => parentUuid));
  const [leaf, another] = layers.filter(({ uuid }) => !parents.has(uuid));
  must(leaf !== undefined, 'its VHDs are parents of each other');
  must(!another, `${leaf.name} and ${another?.name} are two disks, and not one chain`);
  const chain: [Layer, ...Layer[]] = [leaf];
  for (let { parentUuid } = leaf; parentUuid; parentUuid = chain.at(-1)?.parentUuid) {
    const parent = byUuid.get(parentUuid)?.[0];
    must(parent !== undefined && chain.length < layers.length, 'its VHDs are parents of each other');
    must(
      parent.fixed || parent.blockBytes === leaf.blockBytes,
      `the blocks of ${parent.name} have another size than those of ${leaf.name}`,
    );
    chain.push(parent);
  }
  must(chain.length === layers.length, 'its VHDs are not one chain');
  return chain;
}
