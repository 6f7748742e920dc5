import { describe, expect, expectTypeOf, it } from 'vitest';
import { type Method, onlyReads } from '../../xapi/methods.ts';
import type { Session } from '../../xapi/session.ts';
import { XapiProtocolError } from '../../xapi/transport-errors.ts';
import { entriesOf, intOf, NULL_REF, type Records, type Ref, type WholeVmRecord } from '../../xapi/types.ts';

it('the compiler knows what each call takes and gives', () => {
  const use = (session: Session, vmRef: Ref<'VM'>, vdiRef: Ref<'VDI'>) => {
    expectTypeOf(session.call('VM.get_record', vmRef)).resolves.toEqualTypeOf<WholeVmRecord>();
    expectTypeOf(session.call('VM.snapshot', vmRef, 'x')).resolves.toEqualTypeOf<Ref<'VM'>>();
    expectTypeOf(session.call('Async.VM.snapshot', vmRef, 'x', [vdiRef])).resolves.toEqualTypeOf<
      Ref<'task'>
    >();
    // @ts-expect-error a disk is no VM
    session.call('VM.get_record', vdiRef);
    // @ts-expect-error a plain string is no reference
    session.call('VM.get_record', 'OpaqueRef:1');
    // @ts-expect-error the name is missing
    session.call('VM.snapshot', vmRef);
    // @ts-expect-error getters have no asynchronous form
    session.call('Async.VM.get_record', vmRef);
  };
  expect(use).toBeTypeOf('function');
});

it('nothing is a reference of every class', () => {
  const nowhere: Ref<'host'> = NULL_REF;
  expect(nowhere === NULL_REF).toBe(true);
});

describe('whether a call only reads', () => {
  it.each<Method>(['VM.get_record', 'VM.get_all_records_where', 'host.get_all', 'task.get_status'])(
    '%s does',
    (method) => {
      expect(onlyReads(method)).toBe(true);
    },
  );

  it.each<Method>([
    'VM.set_xenstore_data',
    'VM.add_to_other_config',
    'VM.snapshot',
    'Async.VM.snapshot',
    'VDI.destroy',
    'SR.scan',
    'host.call_plugin',
    'secret.create',
    'task.cancel',
  ])('%s does not', (method) => {
    expect(onlyReads(method)).toBe(false);
  });
});

it('XAPI’s ints are read exactly or not at all', () => {
  expect(intOf('2190433320960')).toBe(2_190_433_320_960);
  expect(intOf('9007199254740991')).toBe(2 ** 53 - 1);
  expect(intOf('-1', -1)).toBe(-1);
  for (const text of ['', '1.5', '0x10', ' 1', '1e3', 'NaN', '9007199254740992', '9223372036854775807', '-1'])
    expect(() => intOf(text)).toThrow(XapiProtocolError);
  expect(() => intOf('-2', -1)).toThrow(/"-2" where a whole number of at least -1/);
  expect(() => intOf('9'.repeat(2 ** 20))).toThrow(/^.{0,150}$/);
  expect(() => intOf(undefined as unknown as string)).toThrow(XapiProtocolError);
});

it('records come with references of their class', () => {
  const records = { 'OpaqueRef:1': { uuid: 'a' } } as Records<'VM', { readonly uuid: string }>;
  const entries = entriesOf(records);
  expectTypeOf(entries).toEqualTypeOf<[Ref<'VM'>, { readonly uuid: string }][]>();
  expect(entries).toEqual([['OpaqueRef:1', { uuid: 'a' }]]);
});
