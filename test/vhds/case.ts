import { BLOCK, type Built, buildVhd, type Run, sectorOf, uuidOf, type VhdSpec } from './build.ts';

/** What must come of a chain of VHD files. */
export interface Case {
  readonly what: string;
  /** Leaf first; `id` and `parent` follow from the place, unless they are given. */
  readonly layers: readonly Partial<VhdSpec>[];
  /** Spoils the files that were built, leaf first, or gives others in their place. */
  readonly damage?: (...files: Built[]) => unknown;
  /** What `unpack` and the tests' own reader make of it. */
  readonly verdict: 'read' | 'refused';
  /**
   * What the plugin makes of it as a chain of files. What it does not bundle it leaves to xapi's export, or refuses; `busy`
   * is a file that is being written: CHAIN_CHANGED. `no` is one of the two; `may`: it is free to bundle it.
   */
  readonly plugin: 'bundled' | 'refused' | 'busy' | 'no' | 'may';
  /**
   * What the simulated pool makes of it, which is to be no kinder than libvhd: `refused` where libvhd does not open a file, or reads it
   * wrong; `any` where libvhd opens it without having looked at what is wrong, or reads what the pool has no need of.
   */
  readonly pool: 'read' | 'refused' | 'any';
}

const MIB = 2 ** 20;
/** Six MiB and a sector. */
const USUAL = { virtualBytes: 6 * MIB + 512 };
export const sectors = (bytes: number) => bytes / 512;

/** Runs in the first three blocks, at their borders, some of zeros. */
export const someRuns: readonly Run[] = [
  { sector: 0, count: 3, seed: 1 },
  { sector: 4090, count: 12, seed: 2 },
  { sector: 8200, count: 1, seed: 3 },
];
const overThem: readonly Run[] = [
  { sector: 2, count: 2, seed: 4 },
  { sector: 4095, count: 2, seed: 0 },
];

/** A dynamic disk of 6 MiB and a sector, which has something in three blocks. */
export const plain: Partial<VhdSpec> = { ...USUAL, runs: someRuns };
/** A child of it. */
export const child: Partial<VhdSpec> = { ...USUAL, runs: overThem };

/** Whole and usual: everybody reads it, and the plugin bundles it. */
export function good(what: string, ...layers: Partial<VhdSpec>[]): Case {
  return { what, layers, verdict: 'read', plugin: 'bundled', pool: 'read' };
}

/** Nobody reads it but, where `pool` says so, libvhd. */
export function bad(what: string, layers: Partial<VhdSpec>[], more: Partial<Case> = {}): Case {
  return { what, layers, verdict: 'refused', plugin: 'refused', pool: 'any', ...more };
}

export const nameOf = (id: number) =>
  `${uuidOf(id)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')}.vhd`;

/** The files of a case, leaf first: names as in a storage repository, and bytes. */
export function filesOf({ layers, damage }: Case): { name: string; bytes: Buffer }[] {
  const built = layersOf(layers).map((spec) => ({ ...buildVhd(spec) }));
  damage?.(...built);
  return built.map(({ bytes }, i) => ({ name: nameOf(i + 1), bytes }));
}

export function layersOf(layers: Case['layers']): VhdSpec[] {
  return layers.map((layer, i) => {
    const own = { ...USUAL, id: i + 1, ...layer };
    const parent = i + 1 < layers.length ? { id: i + 2, name: nameOf(i + 2) } : undefined;
    return own.parent || !parent ? own : { ...own, parent };
  });
}

/**
 * The disk that a chain makes, sector by sector, as tapdisk reads it: what a layer has, else what its parent has, and zeros
 * behind a parent's end.
 */
export function modelOf({ layers }: Case): { bytes: number; sectors: Map<number, Buffer> } {
  let sectors = new Map<number, Buffer>();
  for (const { virtualBytes, runs = [] } of layersOf(layers).reverse()) {
    sectors = new Map([...sectors].filter(([sector]) => sector * 512 < virtualBytes));
    for (const { sector, count, seed } of runs)
      for (let at = sector; at < sector + count; at++) sectors.set(at, sectorOf(seed, at));
  }
  return { bytes: layersOf(layers)[0]?.virtualBytes ?? 0, sectors };
}

export { BLOCK, MIB };
