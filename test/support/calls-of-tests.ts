import type { PowerState, Records, Ref, TaskStatus, VmRecord } from '../../xapi/types.ts';

/** Calls that tests alone make: for any call at all, and to look at a pool as its operator would. */
declare module '../../xapi/methods.ts' {
  interface Methods {
    'VM.get_all': () => readonly Ref<'VM'>[];
    'VM.get_all_records': () => Records<'VM', VmRecord>;
    'VM.hard_shutdown': (vmRef: Ref<'VM'>) => void;
    'VM.get_power_state': (vmRef: Ref<'VM'>) => PowerState;
    'host.get_all': () => readonly Ref<'host'>[];
    'task.get_status': (taskRef: Ref<'task'>) => TaskStatus;
    'task.cancel': (taskRef: Ref<'task'>) => void;
  }
}
