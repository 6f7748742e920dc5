import type { FileHandle } from 'node:fs/promises';
import type { Layer } from './chain.ts';
import { RawDisk } from './raw-disk.ts';
import type { Vhd } from './vhd.ts';

/** Says of each VHD, as it comes, whether it is the one that the disk needs next. */
export interface Settling {
  /** The disk that takes it now; undefined where it is not its turn. */
  diskFor(name: string, vhd: Vhd): Promise<RawDisk | undefined>;
  /** All of it has been read, a fixed one's UUID too. */
  wasRead(layer: Layer): void;
}

/** A first pass, which takes what comes for a chain, leaf first, as long as it is one. */
export class InOrder implements Settling {
  /** Whether all that came was the chain in its order. */
  holds = true;
  readonly #to: FileHandle | undefined;
  #disk: RawDisk | undefined;
  #last: Layer | undefined;

  constructor(to: FileHandle | undefined) {
    this.#to = to;
  }

  async diskFor(_name: string, vhd: Vhd): Promise<RawDisk | undefined> {
    this.holds &&= vhd.uuid === undefined || this.#isNext(vhd.uuid);
    if (!this.#to || !this.holds) return undefined;
    this.#disk ??= await RawDisk.create(this.#to, vhd);
    return this.#disk;
  }

  wasRead(layer: Layer): void {
    this.holds &&= this.#isNext(layer.uuid);
    this.#last = layer;
  }

  #isNext(uuid: string): boolean {
    return !this.#last || this.#last.parentUuid === uuid;
  }
}

/** Further passes, for a chain whose order is known. Each takes at least the layer that is due. */
export class Told implements Settling {
  readonly #chain: readonly Layer[];
  readonly #disk: RawDisk;
  #next = 0;

  private constructor(chain: readonly Layer[], disk: RawDisk) {
    this.#chain = chain;
    this.#disk = disk;
  }

  /** What `to` held before goes. */
  static async begin(to: FileHandle, chain: readonly [Layer, ...Layer[]]): Promise<Told> {
    return new Told(chain, await RawDisk.create(to, chain[0]));
  }

  isDone(): boolean {
    return this.#next === this.#chain.length;
  }

  async diskFor(name: string): Promise<RawDisk | undefined> {
    return name === this.#chain[this.#next]?.name ? this.#disk : undefined;
  }

  wasRead({ name }: Layer): void {
    if (name === this.#chain[this.#next]?.name) this.#next++;
  }
}
