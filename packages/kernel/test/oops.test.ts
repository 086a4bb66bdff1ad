// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { atBoundary } from '../../../scripts/testing/boundaries.ts';
import { KernelPanic, type Runner, TaskKilled } from '../src/index.ts';
import { booted, RAM, reported, WILD } from './support.ts';

const PROTECTED = { key: 3, writable: true };

function buggyDriver(store: () => void): void {
  store();
}

describe('an oops', () => {
  it('prints what Linux prints for a page that is not there', () => {
    const { kernel } = booted();
    function wildStore(): void {
      kernel.machine.store32(WILD, 1);
    }
    expect(() => kernel.call(() => buggyDriver(wildStore))).toThrow(TaskKilled);
    expect(reported(kernel)).toEqual([
      'BUG: unable to handle page fault for address: fffffffffffff000',
      '#PF: supervisor write access in kernel mode',
      '#PF: error_code(0x0002) - not-present page',
      'PGD 0 P4D 0',
      'Oops: 0002 [#1] PREEMPT SMP NOPTI',
      'CPU: 0 PID: 1 Comm: host',
      'Call Trace:',
      ' wild_store',
      ' buggy_driver',
      'CR2: fffffffffffff000',
      '---[ end trace ]---',
    ]);
  });

  it('says read access for a read, counts up, and shows the page walk', () => {
    const { kernel } = booted();
    expect(() => kernel.call(() => kernel.machine.store32(WILD, 1))).toThrow(TaskKilled);
    kernel.printk.clear();
    expect(() => kernel.call(() => kernel.machine.load32(WILD))).toThrow(TaskKilled);
    expect(kernel.dmesg[1]).toBe('#PF: supervisor read access in kernel mode');
    expect(kernel.dmesg[4]).toBe('Oops: 0000 [#2] PREEMPT SMP NOPTI');
  });

  it('says protection keys violation for a key fault, with the key in the walk', () => {
    const { kernel } = booted();
    const { machine } = kernel;
    const address = kernel.call(() => kernel.mm.vmalloc(4096, PROTECTED));
    kernel.call(() => {
      machine.writeCr(4, machine.readCr(4) | (1 << 24));
      machine.wrmsr(0x6e1, 0x5555_5554);
    });
    expect(() => kernel.call(() => machine.store32(address, 1))).toThrow(TaskKilled);
    expect(reported(kernel).slice(0, 3)).toEqual([
      `BUG: unable to handle page fault for address: ${(2n ** 64n + BigInt(address)).toString(16)}`,
      '#PF: supervisor write access in kernel mode',
      '#PF: error_code(0x0023) - protection keys violation',
    ]);
    // Key 3 in bits 62:59 of the leaf, NX in bit 63.
    expect(reported(kernel)[3]).toMatch(/^PGD \w+ P4D \w+ PUD \w+ PMD \w+ PTE 9800000000\w{3}163$/);
    expect(reported(kernel)[4]).toBe('Oops: 0023 [#1] PREEMPT SMP NOPTI');
  });

  it('calls the lowest page a null pointer', () => {
    const { kernel } = booted();
    expect(() => kernel.call(() => kernel.machine.load32(8))).toThrow(/NULL pointer dereference/);
    expect(reported(kernel)[0]).toBe(
      'BUG: kernel NULL pointer dereference, address: 0000000000000008',
    );
  });

  it('of a #GP has no address', () => {
    const { kernel } = booted();
    expect(() => kernel.call(() => kernel.machine.rdmsr(0x1234))).toThrow(
      /general protection fault: 0000/,
    );
    expect(reported(kernel)[0]).toBe('general protection fault: 0000 [#1] PREEMPT SMP NOPTI');
    expect(kernel.dmesg.join()).not.toContain('CR2');
  });

  it('of a #GP on an address that is not canonical names it, of any kind of access', () => {
    const { kernel } = booted();
    const wild = 0x8000_0000_0123;
    const accesses = [
      () => kernel.machine.load32(wild),
      () => kernel.machine.store64(wild, 1n),
      () => kernel.machine.xadd32(wild, 1),
      () => kernel.machine.copy(wild, RAM, 8192),
    ];
    for (const access of accesses) expect(() => kernel.call(access)).toThrow(TaskKilled);
    const hint = 'probably for non-canonical address 0x800000000123';
    expect(kernel.dmesg.filter((line) => line.startsWith('general'))).toEqual(
      accesses.map(
        (_access, i) => `general protection fault, ${hint}: 0000 [#${i + 1}] PREEMPT SMP NOPTI`,
      ),
    );
  });

  it('of a #GP names the operand of an access that only ends beyond the canonical half', () => {
    const { kernel } = booted();
    expect(() => kernel.call(() => kernel.machine.store64(0x7fff_ffff_fffc, 1n))).toThrow(
      'general protection fault, probably for non-canonical address 0x7ffffffffffc: 0000 [#1]',
    );
  });

  it('of a #GP on an address names it where a source of events is attached too', () => {
    const { kernel } = booted();
    kernel.runner.attach(atBoundary<Runner>(0, () => {}));
    expect(() => kernel.call(() => kernel.machine.load32(-0x8000_0000_1000))).toThrow(TaskKilled);
    expect(reported(kernel)[0]).toContain('for non-canonical address 0xffff7ffffffff000: 0000');
  });

  it('has the lines of modules after the error code, and among the registers', () => {
    const { kernel } = booted();
    kernel.slots.faultReport.push((regs) => `VECTOR: ${regs.vector}`);
    kernel.slots.faultReport.push(() => null);
    kernel.slots.showRegs.push(() => 'REGISTER: 0');
    expect(() => kernel.call(() => kernel.machine.load32(WILD))).toThrow(TaskKilled);
    expect(reported(kernel).slice(2, 8)).toEqual([
      '#PF: error_code(0x0000) - not-present page',
      'VECTOR: 14',
      'PGD 0 P4D 0',
      'Oops: 0000 [#1] PREEMPT SMP NOPTI',
      'CPU: 0 PID: 1 Comm: host',
      'REGISTER: 0',
    ]);
    kernel.printk.clear();
    expect(() => kernel.call(() => kernel.machine.rdmsr(0x1234))).toThrow(TaskKilled);
    expect(kernel.dmesg.slice(0, 3)).toEqual([
      'general protection fault: 0000 [#2] PREEMPT SMP NOPTI',
      'CPU: 0 PID: 1 Comm: host',
      'REGISTER: 0',
    ]);
  });

  it('ends the task; the others and the machine run on', () => {
    const { kernel, notes } = booted();
    kernel.call(() => {
      kernel.spawn('bad', () => {
        kernel.machine.store32(WILD, 1);
        notes.add(-1);
      });
      kernel.spawn('good', () => notes.add(1));
    });
    kernel.run();
    expect(notes.all).toEqual([1]);
    expect(kernel.dmesg).toContain('CPU: 0 PID: 2 Comm: bad');
  });

  it('of a task with preemption off does not leave it off', () => {
    const { kernel } = booted();
    const bad = () =>
      kernel.call(() => {
        kernel.preempt.disable();
        kernel.machine.store32(WILD, 1);
      });
    expect(bad).toThrow(TaskKilled);
    expect(kernel.dmesg.at(-1)).toBe('note: host[1] exited with preempt_count 1');
    expect(kernel.preempt.count.column.values[0]).toBe(0);
    expect(kernel.call(() => kernel.preempt.inAtomic)).toBe(false);
  });
});

describe('panic', () => {
  it.each([
    ['an interrupt', (runner: Runner) => runner.interrupt(0x20)],
    ['an NMI', (runner: Runner) => runner.nmi()],
    ['a machine check', (runner: Runner) => runner.machineCheck()],
  ])('an oops in %s stops the machine', (_name, fire) => {
    const { kernel } = booted();
    const bad = () => kernel.machine.store32(WILD, 1);
    kernel.entry.requestIrq(0x20, bad);
    kernel.entry.registerNmi(bad);
    kernel.runner.attach(atBoundary<Runner>(1, fire));
    expect(() => kernel.call(() => kernel.machine.store32(RAM, 1))).toThrow(KernelPanic);
    expect(kernel.dmesg.at(-1)).toBe('Kernel panic - not syncing: Fatal exception in interrupt');
    expect(kernel.dmesg).toContain('CR2: fffffffffffff000');
  });

  it('is the end: what is called afterwards is refused, and says why', () => {
    const { kernel } = booted();
    const stopped = 'the machine has stopped (gone): boot a new one';
    expect(() => kernel.call(() => kernel.oops.panic('gone'))).toThrow(KernelPanic);
    expect(() => kernel.call(() => kernel.machine.load32(RAM))).toThrow(stopped);
    expect(() => kernel.run()).toThrow(stopped);
    expect(kernel.dmesg.at(-1)).toBe('Kernel panic - not syncing: gone');
  });

  it('follows any oops with panicOnOops, any WARN with panicOnWarn', () => {
    const strict = booted({ policy: { panicOnOops: true, panicOnWarn: true } }).kernel;
    expect(() => strict.call(() => strict.machine.load32(WILD))).toThrow(
      'Kernel panic - not syncing: Fatal exception',
    );
    const warned = booted({ policy: { panicOnWarn: true } }).kernel;
    expect(() => warned.call(() => warned.oops.warn('odd'))).toThrow(
      'Kernel panic - not syncing: panic_on_warn set ...',
    );
  });
});

describe('WARN', () => {
  it('carries the function that warned, its callers and the task', () => {
    const { kernel } = booted();
    function lowerHalf(): void {
      kernel.oops.warn('something is odd');
    }
    kernel.call(() => buggyDriver(lowerHalf));
    expect(reported(kernel)).toEqual([
      '------------[ cut here ]------------',
      'something is odd',
      'WARNING: CPU: 0 PID: 1 at lower_half',
      'CPU: 0 PID: 1 Comm: host',
      'Call Trace:',
      ' lower_half',
      ' buggy_driver',
      '---[ end trace ]---',
    ]);
  });

  it('leaves out who fired the event it happened in', () => {
    const { kernel } = booted();
    kernel.entry.requestIrq(0x20, function oddHandler() {
      kernel.oops.warn('odd');
    });
    kernel.runner.attach(atBoundary<Runner>(1, (runner) => runner.interrupt(0x20)));
    kernel.call(() => buggyDriver(() => kernel.machine.store32(RAM, 1)));
    const trace = reported(kernel).slice(5, -1);
    expect(trace).toEqual([' odd_handler', ' common_interrupt', ' buggy_driver']);
  });

  it('_ONCE warns once for its text', () => {
    const { kernel } = booted();
    kernel.call(() => {
      kernel.oops.warnOnce('odd');
      kernel.oops.warnOnce('odd');
      kernel.oops.warnOnce('even');
    });
    expect(kernel.dmesg.filter((line) => line === 'odd' || line === 'even')).toEqual([
      'odd',
      'even',
    ]);
  });
});

describe('might_sleep', () => {
  it('says so in atomic context and with interrupts off, and nothing elsewhere', () => {
    const { kernel } = booted();
    function sleepyCall(): void {
      kernel.oops.mightSleep();
    }
    kernel.call(sleepyCall);
    expect(reported(kernel)).toEqual([]);
    kernel.call(() => {
      kernel.preempt.disable();
      sleepyCall();
      kernel.preempt.enable();
    });
    expect(reported(kernel)).toEqual([
      'BUG: sleeping function called from invalid context at sleepy_call',
      'in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 1, name: host',
      'Call Trace:',
      ' sleepy_call',
    ]);
    kernel.call(() => {
      kernel.machine.cli();
      sleepyCall();
      kernel.machine.sti();
    });
    expect(kernel.dmesg).toContain(
      'in_atomic(): 0, irqs_disabled(): 1, non_block: 0, pid: 1, name: host',
    );
  });
});
