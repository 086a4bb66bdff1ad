// SPDX-License-Identifier: MIT
// The whole stack in one import. `boot` here includes every module; the kernel's own is `bootKernel`.

export * from '@pkslab/dax';
export * from '@pkslab/explore';
export * from '@pkslab/kernel';
export { boot as bootKernel } from '@pkslab/kernel';
export * from '@pkslab/kmap';
export * from '@pkslab/memremap';
export * from '@pkslab/pks-core';
export * from '@pkslab/pmem';
export * from '@pkslab/selftests';
export { bootStack as boot } from '@pkslab/selftests';
export * from '@pkslab/x86-cpu';
// The kernel has these two under the same names.
export { VECTOR_MC, VECTOR_NMI } from '@pkslab/x86-cpu';
