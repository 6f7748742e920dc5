import fc from 'fast-check';
import { pattern, type Write } from './modelled-chain.ts';

/** Short and long runs, anywhere, some of them zeros, often at the border of a block or at the disk's end. */
export function anyWrite(sectors: number): fc.Arbitrary<Write> {
  return fc
    .record({
      sector: fc.oneof(fc.nat(sectors - 1), fc.constantFrom(0, 4090, 4095, 4096, 8191, sectors - 1)),
      count: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(4096, 5000)),
      seed: fc.nat(254),
      zero: fc.boolean(),
    })
    .map(({ sector, count, seed, zero }) => {
      const fitting = Math.min(count, sectors - sector);
      return { sector, data: zero ? Buffer.alloc(fitting * 512) : pattern(seed, fitting) };
    });
}
