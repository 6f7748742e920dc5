/** The values of the enumerations that clients give here, in xapi's spelling (datamodel.ml, datamodel_vm.ml). */
export const ENUMS: Readonly<Record<string, readonly string[]>> = {
  on_softreboot_behavior: ['soft_reboot', 'destroy', 'restart', 'preserve'],
  on_normal_exit: ['destroy', 'restart'],
  on_crash_behaviour: [
    ...['destroy', 'coredump_and_destroy', 'restart', 'coredump_and_restart', 'preserve', 'rename_restart'],
  ],
  vm_power_state: ['Halted', 'Paused', 'Running', 'Suspended'],
  domain_type: ['hvm', 'pv', 'pvh', 'pv_in_pvh', 'unspecified'],
  vbd_mode: ['RO', 'RW'],
  vbd_type: ['CD', 'Disk', 'Floppy'],
  vdi_type: [
    ...['system', 'user', 'ephemeral', 'suspend', 'crashdump', 'ha_statefile', 'metadata', 'redo_log'],
    ...['rrd', 'pvs_cache', 'cbt_metadata'],
  ],
  vif_locking_mode: ['network_default', 'locked', 'unlocked', 'disabled'],
  on_boot: ['reset', 'persist'],
};
