// SPDX-License-Identifier: MIT
// Kconfig options of device memory and its protection. mm/Kconfig, drivers/nvdimm/Kconfig

import type { ConfigOption, Kernel } from '@pkslab/kernel';

const DEVMAP = {
  name: 'DEVMAP_ACCESS_PROTECTION',
  default: true,
  depends: ['NVDIMM_PFN', '!HIGHMEM', 'ARCH_HAS_SUPERVISOR_PKEYS'],
} as const;

/**
 * ZONE_DEVICE itself is the kernel's.
 *
 * The protection's default is n in V10; whoever loads memremap wants it, so it is on where its dependencies are met,
 * until `boot({ config })` says false.
 */
export const memremapConfig: readonly ConfigOption[] = [
  { name: 'NVDIMM_PFN', default: true, depends: ['ZONE_DEVICE'] },
  {
    name: 'ZONE_DEVICE_ACCESS_PROTECTION',
    default: true,
    depends: ['ZONE_DEVICE', 'ARCH_HAS_SUPERVISOR_PKEYS'],
    revisions: ['rfc-v2', 'rfc-v3', 'reference'],
  },
  { ...DEVMAP, selects: ['ARCH_ENABLE_SUPERVISOR_PKEYS'], revisions: ['v7'] },
  { ...DEVMAP, selects: ['ARCH_ENABLE_PKS_CONSUMER'], revisions: ['v10'] },
];

/** Whether device memory may be protected, under either name of the option: without, all is as before the patches. */
export function isProtectionConfigured({ config }: Kernel): boolean {
  return (
    config.enabled('ZONE_DEVICE_ACCESS_PROTECTION') || config.enabled('DEVMAP_ACCESS_PROTECTION')
  );
}
