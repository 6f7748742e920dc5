const MIB = 1024 ** 2;

/** A record with every field that VM.create must have, and no other. */
export const vmRecord = (more: object = {}) => ({
  ...{ user_version: '1', is_a_template: false, affinity: 'OpaqueRef:NULL' },
  ...{ memory_static_max: String(512 * MIB), memory_dynamic_max: String(512 * MIB) },
  ...{ memory_dynamic_min: String(512 * MIB), memory_static_min: String(256 * MIB) },
  ...{ VCPUs_params: {}, VCPUs_max: '2', VCPUs_at_startup: '2' },
  ...{ actions_after_shutdown: 'destroy', actions_after_reboot: 'restart', actions_after_crash: 'restart' },
  ...{ PV_bootloader: '', PV_kernel: '', PV_ramdisk: '', PV_args: '', PV_bootloader_args: '' },
  ...{ PV_legacy_args: '', HVM_boot_policy: 'BIOS order', HVM_boot_params: { order: 'cd' } },
  ...{ platform: {}, PCI_bus: '', other_config: {}, recommendations: '', ...more },
});

/** A record with every field that VDI.create must have. */
export const vdiRecord = (SR: unknown, virtual_size: number | string, more: object = {}) => ({
  ...{ SR, virtual_size: String(virtual_size), type: 'user', sharable: false, read_only: false },
  ...{ other_config: {}, ...more },
});

export const vbdRecord = (VM: unknown, VDI: unknown, more: object = {}) => ({
  ...{ VM, VDI, userdevice: 'autodetect', bootable: false, mode: 'RW', type: 'Disk', unpluggable: true },
  ...{ empty: false, other_config: {}, qos_algorithm_type: '', qos_algorithm_params: {}, ...more },
});
