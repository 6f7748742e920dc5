import { expect, it } from 'vitest';
import { DEBTS } from '../../../functions/words.ts';
import { anOutcome, atOnce, later, NOW, newJob, storeOfFile } from './a-store.ts';

const parts = storeOfFile();
const jobs = () => parts.store.jobs;

it('does not discard what is committed', async () => {
  const id = await newJob(parts.store);
  await jobs().owe(id, 'image');
  expect(await jobs().commit(id, NOW)).toMatchObject({ committed: true, verifiedAt: NOW.toISOString() });
  expect(await jobs().discard(id)).toBe(false);
  const job = await jobs().get(id);
  expect(job).toMatchObject({ committed: true });
  expect(job?.discarding).toBeUndefined();
  // A job that is committed owes its image to nobody.
  expect(job?.debts).toBeUndefined();
});

it('does not commit what is discarded', async () => {
  const id = await newJob(parts.store);
  await jobs().owe(id, 'image');
  expect(await jobs().discard(id)).toBe(true);
  expect(await jobs().commit(id, NOW)).toBeUndefined();
  const job = await jobs().get(id);
  expect(job).toMatchObject({ discarding: true, closing: true, debts: new Set(['image']) });
  expect(job?.committed).toBeUndefined();
});

it('commits or discards, never both, when both are tried at once', async () => {
  const ids = await atOnce(20, () => newJob(parts.store));
  await Promise.all(
    ids.map(async (id, index) => {
      const acts = [() => jobs().commit(id, NOW), () => jobs().discard(id)];
      const tries = index % 2 ? acts : acts.toReversed();
      expect((await Promise.all(tries.map((act) => act()))).filter(Boolean)).toHaveLength(1);
      const job = await jobs().get(id);
      expect([job?.committed, job?.discarding].filter(Boolean)).toHaveLength(1);
    }),
  );
});

it('commits and discards again what it has committed and discarded', async () => {
  const [kept, gone] = [await newJob(parts.store), await newJob(parts.store)];
  expect([await jobs().commit(kept, NOW), await jobs().commit(kept, NOW)].every(Boolean)).toBe(true);
  expect([await jobs().discard(gone), await jobs().discard(gone)]).toEqual([true, true]);
});

it('lets the snapshot call go out once, of twenty at once, until a refusal is on record', async () => {
  const id = await newJob(parts.store);
  const sent = await atOnce(20, (n) => jobs().sendSnapshot(id, later(n)));
  expect(sent.filter(Boolean)).toHaveLength(1);
  await jobs().record(id, {}, ['snapshotSentAt']);
  expect(await jobs().sendSnapshot(id, NOW)).toBe(true);
});

it('has every debt on record until it is paid, whoever pays it how often', async () => {
  const id = await newJob(parts.store);
  for (const debt of DEBTS) await jobs().owe(id, debt, { hostName: debt });
  expect(await jobs().owe(id, 'slot')).toMatchObject({ hostName: 'slot', debts: new Set(DEBTS) });
  for (const debt of DEBTS) await Promise.all([jobs().pay(id, debt), jobs().pay(id, debt)]);
  expect((await jobs().get(id))?.debts).toBeUndefined();
  expect(await jobs().pay(id, 'slot', { imageBytes: 3 })).toMatchObject({ imageBytes: 3 });
});

it('has a job claimed by one reconciler, of twenty at once', async () => {
  const id = await newJob(parts.store);
  const claims = await atOnce(20, (n) => jobs().claim(id, `r${n}`, NOW, later(960)));
  const [claim, ...others] = claims.filter((job) => job !== undefined);
  expect(others).toEqual([]);
  const me = claim?.claimedBy ?? '';
  expect(await jobs().claim(id, me, later(1), later(961))).toMatchObject({ claimedBy: me });
  expect(await jobs().claim(id, 'another', later(961), later(2000))).toBeUndefined();
  expect(await jobs().claim(id, 'another', later(962), later(2000))).toMatchObject({ claimedBy: 'another' });
  await jobs().unclaim(id, me);
  expect(await jobs().get(id)).toMatchObject({ claimedBy: 'another' });
  await jobs().unclaim(id, 'another');
  expect(await jobs().claim(id, me, NOW, later(960))).toMatchObject({ claimedBy: me });
});

it('grants the ticket that the job has now, as often as it is asked', async () => {
  const id = await newJob(parts.store);
  await jobs().queue(id, { group: 'demo/h1', ticket: 't1' }, { hostName: 'h1' });
  expect(await jobs().get(id)).toMatchObject({
    group: 'demo/h1',
    ticketState: 'waiting',
    hostName: 'h1',
    debts: new Set(['slot']),
  });
  expect(await jobs().grant(id, 't0')).toBeUndefined();
  expect(await jobs().grant(id, 't1')).toMatchObject({ ticketState: 'granted' });
  expect(await jobs().grant(id, 't1')).toMatchObject({ ticketState: 'granted' });
  await jobs().queue(id, { group: 'demo/h2', ticket: 't2' });
  expect(await jobs().grant(id, 't1')).toBeUndefined();
  expect(await jobs().get(id)).toMatchObject({ group: 'demo/h2', ticket: 't2', ticketState: 'waiting' });
});

it('is settled only when it is finished and owes nothing', async () => {
  const id = await newJob(parts.store);
  await jobs().owe(id, 'slot');
  const isOpen = async () => (await jobs().get(id))?.open === 'open';
  await jobs().settle(id);
  expect(await isOpen()).toBe(true);
  await jobs().finish(id, anOutcome);
  await jobs().settle(id);
  expect(await isOpen()).toBe(true);
  await jobs().pay(id, 'slot');
  await jobs().settle(id);
  expect(await isOpen()).toBe(false);
});

it('keeps every warning, in order, of several at once too', async () => {
  const id = await newJob(parts.store);
  await jobs().warn(id, 'first');
  await atOnce(5, (n) => jobs().warn(id, `w${n}`));
  const warnings = (await jobs().get(id))?.warnings ?? [];
  expect(warnings[0]).toBe('first');
  expect(warnings.toSorted()).toEqual(['first', 'w0', 'w1', 'w2', 'w3', 'w4']);
});

it('records facts, forgets them, and leaves alone what is not named', async () => {
  const id = await newJob(parts.store, { hostName: 'h1' });
  await jobs().record(id, { secretUuid: 's', bytesSent: 0, lockBefore: null, hostName: undefined });
  expect(await jobs().get(id)).toMatchObject({
    secretUuid: 's',
    bytesSent: 0,
    lockBefore: null,
    hostName: 'h1',
  });
  const without = await jobs().record(id, { bytesSent: 5 }, ['secretUuid']);
  expect(without).toMatchObject({ bytesSent: 5 });
  expect(without?.secretUuid).toBeUndefined();
});
