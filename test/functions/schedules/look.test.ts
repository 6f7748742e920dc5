import { beforeEach, expect, it } from 'vitest';
import { lookForBackups } from '../../../functions/janitor/backups.ts';
import type { Runtime } from '../../../functions/runtime/executions.ts';
import { lookAtBackups } from '../../../functions/schedules/look.ts';
import { standing } from '../../../functions/store/backups.ts';
import { GONE } from '../../../functions/verified-image.ts';
import type { Glance } from '../../../glance/client.ts';
import { GlanceListTooLong, GlanceUnavailable } from '../../../glance/errors.ts';
import type { Image } from '../../../glance/image.ts';
import { memoryRuntime } from '../../scale/memory-runtime.ts';
import { MemoryTable } from '../../scale/memory-table.ts';

const NOW = Date.UTC(2026, 4, 5);
const DAY = 86_400_000;
const ago = (days: number) => new Date(NOW - days * DAY).toISOString();
const BOUND = { seconds: 5, singly: 100 };

/** A Glance of which a test says what it has, what its list shows, and which requests fail. */
class ScriptedGlance {
  readonly images = new Map<string, Image>();
  readonly asked: string[] = [];
  hidden: ReadonlySet<string> = new Set();
  listFailsAfter = Number.POSITIVE_INFINITY;
  listFailsWith: Error = new GlanceUnavailable('the list broke off');
  singlyFails = false;

  readonly glance = {
    listImages: this.#list.bind(this),
    getImage: async (id: string) => {
      this.asked.push(id);
      if (this.singlyFails) throw new GlanceUnavailable('Glance is away');
      return this.images.get(id);
    },
  } as unknown as Glance;

  async *#list() {
    let given = 0;
    const sorted = [...this.images.values()].sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
    for (const image of sorted) {
      if (given++ >= this.listFailsAfter) throw this.listFailsWith;
      if (!this.hidden.has(image.id)) yield image;
    }
    if (given >= this.listFailsAfter) throw this.listFailsWith;
  }

  add(id: string, days: number, changes: Partial<Image> = {}, properties: Record<string, string> = {}) {
    this.images.set(id, {
      ...{ id, name: id, status: 'active', sizeBytes: 7, checksum: null, osHashAlgo: 'sha512' },
      ...{ osHashValue: 'good', diskFormat: 'vhd', containerFormat: 'ovf', visibility: 'private' },
      ...{ owner: 'op', protected: false, createdAt: ago(days), updatedAt: ago(days) },
      ...changes,
      properties: { xensnap_installation: 'memory', xensnap_job: id, ...properties },
    });
  }
}

let scripted: ScriptedGlance;
let runtime: Runtime;
beforeEach(() => {
  scripted = new ScriptedGlance();
  const whole = memoryRuntime({ now: () => new Date(NOW) }, new MemoryTable());
  runtime = { ...whole, glance: scripted.glance };
});

/** Notes verified backups of a VM, and has Glance have them. */
async function verified(vm: string, ...ids: string[]) {
  for (const [index, id] of ids.entries()) {
    scripted.add(id, index + 1);
    await runtime.store.backups.verified('demo', vm, {
      ...{ imageId: id, type: 'daily', verifiedAt: ago(index + 1), sha512: 'good', bytes: 7, owner: 'op' },
    });
  }
}

const known = () => Array.fromAsync(runtime.store.backups.all());
const look = async (bound = BOUND) => lookAtBackups(await known(), runtime, bound);
const last = async (vm: string) => (await runtime.store.backups.last('demo', vm))?.imageId;

it('sees what is there in one list, and asks for nothing singly', async () => {
  await verified('a', 'a1', 'a2');
  await verified('b', 'b1');
  const { vms, problem } = await look();
  expect(problem).toBeUndefined();
  expect(vms.map(({ looked, newlyLost }) => [looked, newlyLost])).toEqual([
    [true, []],
    [true, []],
  ]);
  expect(scripted.asked).toEqual([]);
});

it.each<[string, (glance: ScriptedGlance) => void, string]>([
  ['deleted', ({ images }) => images.delete('a1'), GONE],
  [
    'deactivated',
    (glance) => glance.add('a1', 1, { status: 'deactivated' }),
    'is deactivated in Glance, not active',
  ],
  ['given away', (glance) => glance.add('a1', 1, { owner: 'other' }), 'belongs to somebody else now'],
  [
    "another installation's",
    (glance) => glance.add('a1', 1, {}, { xensnap_installation: 'x' }),
    "no longer says that it is this installation's",
  ],
  [
    'of another size',
    (glance) => glance.add('a1', 1, { sizeBytes: 8 }),
    'has 8 bytes in Glance, and 7 were verified',
  ],
  [
    'of another content',
    (glance) => glance.add('a1', 1, { osHashValue: 'bad' }),
    'has another sha512 in Glance than was verified',
  ],
])('does not count a backup that is %s: the one before it counts', async (_, happen, what) => {
  await verified('a', 'a1', 'a2');
  happen(scripted);
  const { vms } = await look();
  expect(vms[0]?.newlyLost).toMatchObject([{ imageId: 'a1', lost: { what, foundAt: ago(0) } }]);
  expect(await last('a')).toBe('a2');
  // It is told of once, and counts again once it is as it was.
  expect((await look()).vms[0]?.newlyLost).toEqual([]);
  scripted.add('a1', 1);
  await look();
  expect(await last('a')).toBe('a1');
});

it('goes back to none where all are gone', async () => {
  await verified('a', 'a1', 'a2');
  scripted.images.clear();
  const { vms } = await look();
  expect(vms[0] && standing(vms[0])).toBeUndefined();
  expect(vms[0]?.looked).toBe(true);
});

it('takes nothing for gone that a list does not show, but that is there', async () => {
  await verified('a', 'a1');
  scripted.hidden = new Set(['a1']);
  expect((await look()).vms).toMatchObject([{ looked: true, newlyLost: [] }]);
  expect(scripted.asked).toEqual(['a1']);
});

it('takes nothing for gone, nor for looked at, where the list breaks off or a single answer does not come', async () => {
  await verified('a', 'a1');
  await verified('b', 'b1');
  scripted.images.delete('b1');
  scripted.listFailsAfter = 1;
  const broken = await look();
  expect(broken.problem).toMatchObject({ name: 'GlanceUnavailable' });
  expect(broken.vms.map(({ looked }) => looked)).toEqual([true, false]);
  scripted.listFailsAfter = Number.POSITIVE_INFINITY;
  scripted.singlyFails = true;
  expect((await look()).vms.map(({ looked }) => looked)).toEqual([true, false]);
  expect(await last('b')).toBe('b1');
});

it('asks singly for what lies behind the end of a list that is too long', async () => {
  await verified('a', 'a1');
  await verified('b', 'b1');
  scripted.add('b1', 3);
  scripted.listFailsAfter = 1;
  scripted.listFailsWith = new GlanceListTooLong('more than 10000');
  expect(await look()).toMatchObject({ vms: [{ looked: true }, { looked: true, newlyLost: [] }] });
  expect(scripted.asked).toEqual(['b1']);
  await lookForBackups(runtime, false);
  expect(await runtime.store.backups.look()).toMatchObject({ lookedAt: ago(0) });
});

it('does not wait for a Glance that hangs', async () => {
  await verified('a', 'a1');
  scripted.glance.listImages = async function* () {
    await new Promise(() => {});
    yield* [];
  };
  scripted.glance.getImage = () => new Promise(() => {});
  const { vms, problem } = await look({ seconds: 0.05, singly: 5 });
  expect([vms[0]?.looked, problem?.name]).toEqual([false, 'TimedOut']);
});

it('keeps its place where a round does not come to the end, and goes on there', async () => {
  for (let n = 0; n < 10; n++) await verified(`vm-${n}`, `i-${n}`);
  scripted.images.clear();
  const bound = { seconds: 5, singly: 4 };
  const found: string[][] = [];
  for (let round = 0; round < 3; round++) {
    const findings = await lookForBackups(runtime, false, bound);
    found.push(findings.map(({ id }) => id));
    const { lookedAt } = await runtime.store.backups.look();
    expect(lookedAt).toBe(round < 2 ? undefined : ago(0));
  }
  expect(found.map(({ length }) => length)).toEqual([4, 4, 2]);
  expect(new Set(found.flat()).size).toBe(10);
});

it('changes nothing in a dry run', async () => {
  await verified('a', 'a1');
  scripted.images.clear();
  expect(await lookForBackups(runtime, true)).toMatchObject([{ id: 'a1', action: 'left' }]);
  expect(await last('a')).toBe('a1');
  expect(await runtime.store.backups.look()).toEqual({});
});
