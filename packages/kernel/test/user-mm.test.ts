// SPDX-License-Identifier: MIT
import { PAGE_SIZE, SAVED_USER } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { boot, type Kernel, TaskKilled, type VmFile } from '../src/index.ts';
import { booted, RAM } from './support.ts';

/** A file whose pages are RAM that nobody has allocated. */
class RamFile implements VmFile {
  readonly alignment: number = PAGE_SIZE;
  readonly kernel: Kernel;
  released = 0;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  mmap(): number {
    return 0;
  }

  hugeFault(...[area, address, size, write]: Parameters<VmFile['hugeFault']>) {
    if (size > PAGE_SIZE) return 'fallback' as const;
    const page = Math.floor((address - area.start) / PAGE_SIZE);
    const at = area.start + page * PAGE_SIZE;
    return this.kernel.userMm.insertPfn(area, at, 0x1000 + page, size, write);
  }

  release(): void {
    this.released++;
  }
}

interface Program {
  readonly kernel: Kernel;
  readonly file: RamFile;
  readonly id: number;
  readonly address: number;
}

function program(pages = 4): Program {
  const kernel = boot({ cpus: 2 });
  const file = new RamFile(kernel);
  const id = kernel.call(() => kernel.userMm.open(file));
  const length = pages * PAGE_SIZE;
  const address = kernel.call(() => kernel.userMm.mmap({ file: id, length }));
  return { kernel, file, id, address };
}

describe('user mode', () => {
  it('runs at CPL 3 with interrupts on, and comes back to CPL 0', () => {
    const { kernel, address } = program();
    const { machine } = kernel;
    const inside = kernel.call(() =>
      kernel.userMm.run(() => {
        machine.store32(address, 5);
        return [
          machine.cpu.cpl,
          machine.registers.interruptFlag.values[0],
          machine.load32(address),
        ];
      }),
    );
    expect(inside).toEqual([3, 1, 5]);
    expect(machine.cpu.cpl).toBe(0);
    expect(machine.registers.interruptFlag.values[0]).toBe(1);
  });

  it('reaches nothing of the kernel: a signal ends the task, not the machine', () => {
    const { kernel } = program();
    const { machine } = kernel;
    const user = (code: () => unknown) => (): unknown => kernel.call(() => kernel.userMm.run(code));
    expect(user(() => machine.load32(RAM))).toThrow('SIGSEGV (SEGV_MAPERR) at ffff888001000000');
    expect(user(() => machine.wrmsr(0x6e1, 0))).toThrow('SIGSEGV (SI_KERNEL)');
    expect(user(() => machine.load32(0x1000))).toThrow(TaskKilled);
    expect(kernel.dmesg.some((line) => line.includes('Oops'))).toBe(false);
    expect(kernel.call(() => machine.cpu.cpl)).toBe(0);
  });

  it('is interrupted, another task runs, and it goes on at CPL 3', () => {
    const { kernel, notes } = booted({ cpus: 1 });
    const file = new RamFile(kernel);
    const { machine } = kernel;
    const id = kernel.call(() => kernel.userMm.open(file));
    const address = kernel.call(() => kernel.userMm.mmap({ file: id, length: PAGE_SIZE }));
    let saved = 0;
    let left = 3;
    const { interrupt } = kernel.entry;
    kernel.entry.interrupt = (vector, flags) => {
      saved |= flags;
      interrupt.call(kernel.entry, vector, flags);
    };
    kernel.entry.requestIrq(0x20, () => kernel.preempt.needResched.write(1));
    kernel.call(() => {
      kernel.spawn('user', () =>
        kernel.userMm.run(() => {
          machine.store32(address, 1);
          machine.store32(address, 2);
          machine.load32(address);
        }),
      );
      kernel.spawn('other', () => notes.add(machine.cpu.cpl));
    });
    kernel.runner.attach({
      boundary: (runner) => void (machine.cpu.cpl === 3 && left-- > 0 && runner.interrupt(0x20)),
    });
    kernel.run();
    kernel.runner.attach(null);
    expect(saved & SAVED_USER).toBe(SAVED_USER);
    expect(notes.all).toEqual([0]);
    expect(kernel.call(() => kernel.userMm.run(() => machine.load32(address)))).toBe(2);
  });
});

describe('areas', () => {
  it('stand behind one another, are found again, and do not overlap', () => {
    const { kernel, id, address } = program(4);
    const mmap = (start?: number): number =>
      kernel.call(() =>
        kernel.userMm.mmap({
          file: id,
          length: PAGE_SIZE,
          ...(start === undefined ? {} : { address: start }),
        }),
      );
    expect(address).toBe(0x2aaa_aaaa_b000);
    expect(mmap()).toBe(address + 4 * PAGE_SIZE);
    expect(mmap(address + PAGE_SIZE)).toBe(-17);
    expect(mmap(123)).toBe(-22);
    expect(mmap(0x7fff_ffff_f000)).toBe(-12);
    expect(kernel.call(() => kernel.userMm.mmap({ file: 9, length: PAGE_SIZE }))).toBe(-9);
  });

  it('are 16 at most', () => {
    const { kernel, id } = program();
    const more = Array.from({ length: 16 }, () =>
      kernel.call(() => kernel.userMm.mmap({ file: id, length: PAGE_SIZE })),
    );
    expect(more.filter((result) => result < 0)).toEqual([-12]);
  });

  it('release their file with the last of them, after its driver let go of it', () => {
    const { kernel, file, id, address } = program(4);
    kernel.call(() => kernel.userMm.close(id));
    expect(file.released).toBe(0);
    expect(kernel.call(() => kernel.userMm.munmap(address, PAGE_SIZE))).toBe(-22);
    expect(kernel.call(() => kernel.userMm.munmap(address, 4 * PAGE_SIZE))).toBe(0);
    expect(file.released).toBe(1);
    expect(kernel.call(() => kernel.userMm.munmap(address, 4 * PAGE_SIZE))).toBe(0);
    expect(kernel.userMm.hasAreas).toBe(false);
  });

  it('are used by the kernel too, where it may sleep; in atomic context it is an oops', () => {
    const { kernel, address } = program();
    const { machine, preempt } = kernel;
    expect(kernel.call(() => machine.tryStore32(address, 3))).toBe(false);
    const atomic = kernel.call(() => {
      preempt.disable();
      const refused = machine.tryStore32(address + PAGE_SIZE, 3);
      preempt.enable();
      return refused;
    });
    expect(atomic).toBe(true);
  });

  it('say so when no page is left for a table', () => {
    const kernel = boot({ memory: 2 ** 22 });
    const file = new RamFile(kernel);
    const id = kernel.call(() => kernel.userMm.open(file));
    const address = kernel.call(() => kernel.userMm.mmap({ file: id, length: PAGE_SIZE }));
    kernel.call(() => {
      while (kernel.mm.tryAllocPage() >= 0);
    });
    const store = (): unknown =>
      kernel.call(() => kernel.userMm.run(() => kernel.machine.store32(address, 1)));
    expect(store).toThrow('SIGKILL (out of memory)');
  });
});
