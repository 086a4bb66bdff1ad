// SPDX-License-Identifier: MIT
// The order in which a kernel comes up. init/main.c

import { INITCALL_LEVELS } from './initcall.ts';
import { type BootOptions, Kernel } from './kernel.ts';
import { PAGE_KERNEL_PROT, PAGE_OFFSET } from './mm.ts';

/**
 * Boots a kernel with its modules on a new machine.
 *
 * The boot CPU is set up, then the early initcalls run, then the other CPUs come up, then the other initcalls run.
 *
 * @throws {KernelError} EINVAL for an unknown revision, repair or choice.
 * @example
 * const kernel = boot({ cpus: 2 });
 * kernel.dmesg[0]; // => 'pkslab: booting revision reference on 2 CPU(s)'
 */
export function boot(options: BootOptions = {}): Kernel {
  const kernel = new Kernel(options);
  startKernel(kernel);
  return kernel;
}

/** start_kernel and kernel_init */
function startKernel(kernel: Kernel): void {
  const { machine, mm, hotplug, initcalls } = kernel;
  machine.handlers = kernel.entry;
  mm.map(PAGE_OFFSET, 0, machine.memory.ramSize, PAGE_KERNEL_PROT);
  kernel.print(`pkslab: booting revision ${kernel.revision} on ${machine.cpus.length} CPU(s)`);
  if (mm.levels === 5) kernel.print('pkslab: 5-level paging');
  const [boot, ...others] = machine.cpus;
  hotplug.bootCpu();
  const [early, ...levels] = INITCALL_LEVELS;
  initcalls.run(early);
  for (const cpu of others) {
    machine.cpu = cpu;
    hotplug.bootCpu();
  }
  machine.cpu = boot as typeof machine.cpu;
  for (const level of levels) initcalls.run(level);
}
