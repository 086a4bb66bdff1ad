// SPDX-License-Identifier: MIT
// Which of the posted programmes a kernel has, and tests that are another's.

import type { BootOptions, Kernel } from '@pkslab/kernel';
import { pksCore } from '@pkslab/pks-core';
import type { Bench } from './bench.ts';

/** Boots for a test of some programmes. @throws {TestSkipped} where the kernel has another. */
export function bootProgramme(
  bench: Bench,
  programmes: readonly string[],
  options: BootOptions = {},
): Kernel {
  const kernel = bench.boot(options);
  const has = kernel.choice('testProgramme');
  if (!programmes.includes(has)) bench.skip(`the kernel has the test programme ${has}`);
  return kernel;
}

/** Boots for a test of the allocator. @throws {TestSkipped} where keys are static. */
export function bootAllocator(bench: Bench, options: BootOptions = {}): Kernel {
  const kernel = bench.boot(options);
  if (kernel.module(pksCore).keys.isStatic) bench.skip('keys are static: there is no allocator');
  return kernel;
}
