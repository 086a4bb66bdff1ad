// SPDX-License-Identifier: MIT
// Kconfig options of pks-core, and whether this boot has it at all. mm/Kconfig, lib/Kconfig.debug

import type { ConfigOption, Kernel } from '@pkslab/kernel';

/**
 * What lies between ARCH_HAS_SUPERVISOR_PKEYS, which the RFCs ask for, and the code.
 *
 * From V4 on consumers select it: a consumer of your own is a module with an option that selects
 * ARCH_ENABLE_PKS_CONSUMER (ARCH_ENABLE_SUPERVISOR_PKEYS in v7). Without one there is none of pks-core's code.
 */
export const pksConfig: readonly ConfigOption[] = [
  {
    name: 'ARCH_ENABLE_PKS_CONSUMER',
    default: false,
    prompt: false,
    selects: ['ARCH_ENABLE_SUPERVISOR_PKEYS'],
    revisions: ['v10'],
  },
  {
    name: 'ARCH_ENABLE_SUPERVISOR_PKEYS',
    default: false,
    prompt: false,
    revisions: ['v7', 'v10'],
  },
  {
    name: 'ARCH_HAS_PTREGS_AUXILIARY',
    default: true,
    depends: ['X86_64', 'ARCH_ENABLE_SUPERVISOR_PKEYS'],
    prompt: false,
    revisions: ['v10'],
  },
];

/**
 * The test programme, under both its names. The postings' default is n; whoever loads the module wants it, so it
 * is on where its dependencies are met, until `boot({ config })` says false.
 */
export const pksTestConfig: readonly ConfigOption[] = [
  {
    name: 'PKS_TESTING',
    default: true,
    depends: ['ARCH_HAS_SUPERVISOR_PKEYS'],
    revisions: ['rfc-v2', 'rfc-v3', 'reference'],
  },
  {
    name: 'PKS_TEST',
    default: true,
    depends: ['ARCH_HAS_SUPERVISOR_PKEYS'],
    selects: ['ARCH_ENABLE_SUPERVISOR_PKEYS'],
    revisions: ['v7', 'v10'],
  },
  {
    name: 'PKS_TEST_ALL_KEYS',
    default: false,
    depends: ['PKS_TEST', '!ARCH_ENABLE_PKS_CONSUMER'],
    revisions: ['v10'],
  },
];

/** Whether this boot has the code of pks-core, and not its stubs. */
export function isPksConfigured(kernel: Kernel): boolean {
  const { config } = kernel;
  const name = 'ARCH_ENABLE_SUPERVISOR_PKEYS';
  return config.enabled(config.has(name) ? name : 'ARCH_HAS_SUPERVISOR_PKEYS');
}

/** cpu_feature_enabled(X86_FEATURE_PKS): the CPU has it, and it is not among the disabled features of the build. */
export function isPksEnabled(kernel: Kernel): boolean {
  return kernel.machine.features.pks && isPksConfigured(kernel);
}
