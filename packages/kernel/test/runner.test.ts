// SPDX-License-Identifier: MIT
import { EXTABLE, FIXED_UP, KIND_MASK, Op } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { atBoundary, atEveryBoundary } from '../../../scripts/testing/boundaries.ts';
import {
  boot,
  Deadlock,
  EINVAL,
  KernelError,
  RESCHEDULE_VECTOR,
  type Runner,
  TaskKilled,
} from '../src/index.ts';
import { booted, RAM, WILD } from './support.ts';

const quiet = { boundary() {} };

describe('call', () => {
  it('runs in the host task and returns its value, with and without a source', () => {
    const { kernel } = booted();
    const task = kernel.call(() => kernel.tasks.current);
    expect(task).toBe(kernel.runner.hostTask);
    expect(kernel.tasks.nameOf(task)).toBe('host');
    kernel.runner.attach(quiet);
    expect(kernel.call(() => kernel.tasks.current)).toBe(task);
  });

  it('works when the first call of all has a source attached', () => {
    const { kernel } = booted();
    kernel.runner.attach(quiet);
    expect(kernel.call(() => kernel.machine.load32(RAM))).toBe(0);
    kernel.run();
  });

  it.each([null, quiet])(
    'says why a task was killed, and gives the next call a new task',
    (source) => {
      const { kernel } = booted();
      kernel.runner.attach(source);
      const wild = () => kernel.call(() => kernel.machine.store32(WILD, 1));
      expect(wild).toThrow(TaskKilled);
      expect(wild).toThrow(
        /task \d+ was killed: BUG: unable to handle page fault for address: fffffffffffff000/,
      );
      expect(kernel.call(() => kernel.machine.load32(RAM))).toBe(0);
    },
  );

  it.each([null, quiet])('lets an error of the call through and stays usable', (source) => {
    const { kernel, notes } = booted({ cpus: 2 });
    kernel.runner.attach(source);
    const failing = () =>
      kernel.call(() => {
        kernel.machine.store32(RAM, 1);
        throw new KernelError(EINVAL, 'no');
      });
    expect(failing).toThrow('no');
    expect(failing).toThrow('no');
    kernel.call(() => kernel.spawn('worker', () => notes.add(1)));
    kernel.run();
    expect(notes.all).toEqual([1]);
  });
});

describe('tasks that are unwound and run again', () => {
  it('have the effects of their operations once', () => {
    const { kernel, notes } = booted();
    kernel.call(() => {
      kernel.spawn('A', () => {
        notes.add(1);
        kernel.sched.schedule();
        notes.add(2);
        kernel.sched.schedule();
        notes.add(3);
      });
      kernel.spawn('B', () => {
        notes.add(11);
        kernel.sched.schedule();
        notes.add(12);
      });
    });
    kernel.run();
    expect([...notes.all].sort((a, b) => a - b)).toEqual([1, 2, 3, 11, 12]);
    expect(notes.all.indexOf(1)).toBeLessThan(notes.all.indexOf(2));
  });

  it('see the results that their operations had, not what the machine holds now', () => {
    const { kernel, notes } = booted();
    kernel.call(() => {
      kernel.spawn('reader', () => {
        const before = kernel.machine.load32(RAM);
        kernel.sched.schedule();
        notes.add(before);
      });
      kernel.spawn('writer', () => kernel.machine.store32(RAM, 5));
    });
    kernel.run();
    expect(notes.all).toEqual([0]);
    expect(kernel.call(() => kernel.machine.load32(RAM))).toBe(5);
  });

  it('do their calls one after another; the record of a call ends with it', () => {
    const { kernel, notes } = booted();
    let runs = 0;
    const first = (): void => {
      runs++;
      notes.add(1);
    };
    kernel.call(() =>
      kernel.spawn('A', first, () => {
        kernel.sched.schedule();
        notes.add(2);
      }),
    );
    kernel.call(() => kernel.spawn('B', () => notes.add(3)));
    kernel.run();
    expect(notes.all).toEqual([1, 3, 2]);
    expect(runs).toBe(1);
  });

  it('print once', () => {
    const { kernel } = booted();
    kernel.call(() => {
      kernel.spawn('A', () => {
        kernel.print('once');
        kernel.sched.schedule();
        kernel.machine.store32(RAM, 1);
      });
      kernel.spawn('B', () => {});
    });
    kernel.run();
    expect(kernel.dmesg.filter((line) => line === 'once')).toHaveLength(1);
  });

  it('print once where their CPU is stopped right after', () => {
    const { kernel } = booted({ cpus: 2 });
    kernel.call(() =>
      kernel.spawn('A', () => {
        kernel.print('once');
        kernel.machine.store32(RAM, 1);
        kernel.machine.store32(RAM, 2);
      }),
    );
    // CPU 1 goes on by one boundary whenever CPU 0 does.
    kernel.runner.attach({ boundary: (runner) => runner.runOther(1, 1) });
    kernel.call(() => {
      for (let i = 0; i < 60; i++) kernel.machine.store32(RAM + 64, i);
    });
    kernel.runner.attach(null);
    kernel.run();
    expect(kernel.dmesg.filter((line) => line === 'once')).toHaveLength(1);
    expect(kernel.call(() => kernel.machine.load32(RAM))).toBe(2);
  });

  it('warn once where WARN_ONCE was passed in an earlier run', () => {
    const { kernel } = booted();
    kernel.call(() => {
      kernel.spawn('A', () => {
        kernel.oops.warnOnce('odd');
        kernel.sched.schedule();
        kernel.oops.warnOnce('odd');
      });
      kernel.spawn('B', () => {});
    });
    kernel.run();
    expect(kernel.dmesg.filter((line) => line === 'odd')).toHaveLength(1);
  });

  it('keep the children that they spawned', () => {
    const { kernel, notes } = booted();
    kernel.call(() =>
      kernel.spawn('parent', () => {
        kernel.spawn('child', () => {
          notes.add(1);
          kernel.sched.schedule();
          notes.add(2);
        });
        kernel.sched.schedule();
        kernel.sched.schedule();
        notes.add(3);
      }),
    );
    kernel.run();
    expect([...notes.all].sort()).toEqual([1, 2, 3]);
  });

  it('keep the bytes that they copied out', () => {
    const { kernel, notes } = booted();
    kernel.call(() => kernel.machine.store32(RAM, 0x0403_0201));
    kernel.call(() => {
      kernel.spawn('A', () => {
        const buffer = new Uint8Array(8);
        kernel.machine.copyOut(RAM, buffer, 2, 4);
        kernel.sched.schedule();
        for (const byte of buffer) notes.add(byte);
      });
      kernel.spawn('B', () => kernel.machine.store32(RAM, 0));
    });
    kernel.run();
    expect(notes.all).toEqual([0, 0, 1, 2, 3, 4, 0, 0]);
  });

  it('keep the pages that they allocated and the mappings that they removed', () => {
    const { kernel, notes } = booted();
    kernel.call(() => {
      kernel.spawn('A', () => {
        const address = kernel.mm.vmalloc(8192, { key: 0, writable: true });
        kernel.machine.store32(address, 6);
        kernel.sched.schedule();
        notes.add(kernel.machine.load32(address));
        kernel.mm.vfree(address, 8192);
        kernel.sched.schedule();
        notes.add(Number(kernel.mm.lookup(address).present));
      });
      kernel.spawn('B', () => kernel.sched.schedule());
    });
    kernel.run();
    expect(notes.all).toEqual([6, 0]);
  });

  it('are told when their code is not deterministic', () => {
    const { kernel } = booted();
    let turn = 0;
    kernel.call(() => {
      kernel.spawn('A', () => {
        kernel.machine.load32(RAM + 4 * turn++);
        kernel.sched.schedule();
      });
      kernel.spawn('B', () => {});
    });
    expect(() => kernel.run()).toThrow(/not deterministic at operation 0 of task \d+/);
  });
});

describe('preemption', () => {
  it('by the reschedule interrupt switches at any boundary, and both tasks finish', () => {
    const count = atEveryBoundary<Runner>(
      (runner) => runner.interrupt(RESCHEDULE_VECTOR),
      (source) => {
        const { kernel, notes } = booted();
        kernel.call(() => {
          kernel.spawn('A', () => {
            for (let i = 0; i < 3; i++) kernel.machine.store32(RAM, i);
            notes.add(1);
          });
          kernel.spawn('B', () => {
            for (let i = 0; i < 3; i++) kernel.machine.store32(RAM + 64, i);
            notes.add(2);
          });
        });
        kernel.runner.attach(source);
        kernel.run();
        kernel.runner.attach(null);
        expect([...notes.all].sort()).toEqual([1, 2]);
        expect(kernel.preempt.count.column.values[0]).toBe(0);
        expect(kernel.machine.registers.interruptFlag.values[0]).toBe(1);
      },
    );
    expect(count).toBeGreaterThan(30);
  });

  it('lets another task run between two instructions', () => {
    const orders = new Set<string>();
    atEveryBoundary<Runner>(
      (runner) => runner.interrupt(RESCHEDULE_VECTOR),
      (source) => {
        const { kernel, notes } = booted();
        kernel.call(() => {
          kernel.spawn('A', () => {
            notes.add(1);
            notes.add(2);
          });
          kernel.spawn('B', () => notes.add(3));
        });
        kernel.runner.attach(source);
        kernel.run();
        kernel.runner.attach(null);
        orders.add(notes.all.join());
      },
    );
    expect(orders).toContain('1,3,2');
    expect(orders).toContain('1,2,3');
  });

  it('does not happen while preemption is off', () => {
    atEveryBoundary<Runner>(
      (runner) => runner.interrupt(RESCHEDULE_VECTOR),
      (source) => {
        const { kernel, notes } = booted();
        kernel.call(() => {
          kernel.spawn('A', () => {
            kernel.preempt.disable();
            notes.add(1);
            notes.add(2);
            kernel.preempt.enable();
          });
          kernel.spawn('B', () => notes.add(3));
        });
        kernel.runner.attach(source);
        kernel.run();
        kernel.runner.attach(null);
        expect(notes.all.join()).not.toBe('1,3,2');
      },
    );
  });
});

describe('events', () => {
  it('an interrupt waits for IF, an NMI does not', () => {
    const { kernel } = booted();
    const seen: boolean[] = [];
    kernel.runner.attach({
      boundary(runner, kind) {
        if (kind === Op.store32) seen.push(runner.interrupt(0x20), runner.nmi());
      },
    });
    kernel.call(() => {
      kernel.machine.cli();
      kernel.machine.store32(RAM, 1);
      kernel.machine.sti();
    });
    expect(seen).toEqual([false, true]);
  });

  it('a second NMI is held off until the first is over', () => {
    const { kernel, notes } = booted();
    const nested: boolean[] = [];
    kernel.entry.registerNmi(() => notes.add(1));
    let inside = false;
    kernel.runner.attach({
      boundary(runner) {
        if (!inside) {
          inside = true;
          runner.nmi();
        } else {
          nested.push(runner.nmi());
        }
      },
    });
    kernel.call(() => kernel.machine.store32(RAM, 1));
    kernel.runner.attach(null);
    expect(notes.all).toContain(1);
    // Refused at each boundary of the handler, possible again after its IRET.
    expect(nested.slice(0, 3)).toEqual([false, false, false]);
    expect(kernel.machine.registers.nmiBlocked.values[0]).toBe(0);
  });

  it('nest: an NMI in an interrupt in a task', () => {
    const { kernel, notes } = booted();
    kernel.entry.requestIrq(0x20, () => {
      notes.add(1);
      kernel.machine.store32(RAM, 1);
      notes.add(3);
    });
    kernel.entry.registerNmi(() => notes.add(2));
    const once = atBoundary<Runner>(1, (runner) => runner.interrupt(0x20));
    kernel.runner.attach({
      boundary(runner, kind) {
        once.boundary(runner, kind);
        if (kind === Op.store32) runner.nmi();
      },
    });
    kernel.call(() => notes.add(4));
    kernel.runner.attach(null);
    expect(notes.all).toEqual([1, 2, 3, 4]);
  });

  it('a machine check is delivered with interrupts off', () => {
    const { kernel, notes } = booted();
    kernel.entry.registerNmi(() =>
      notes.add(kernel.machine.registers.interruptFlag.values[0] ?? -1),
    );
    kernel.runner.attach(atBoundary<Runner>(1, (runner) => runner.machineCheck()));
    kernel.call(() => kernel.machine.store32(RAM, 1));
    kernel.runner.attach(null);
    expect(notes.all).toEqual([0]);
  });
});

describe('a page fault on user memory', () => {
  it('sleeps, lets others run, and the access goes on', () => {
    const { kernel, notes } = booted();
    kernel.call(() => kernel.spawn('other', () => notes.add(1)));
    kernel.runner.attach({
      boundary(runner, kind) {
        if (kind === Op.store32 && notes.all.length === 0) runner.userPageFault(0x1000, true);
      },
    });
    kernel.call(() => {
      kernel.machine.store32(RAM, 8);
      notes.add(2);
    });
    kernel.runner.attach(null);
    expect(notes.all).toEqual([1, 2]);
    expect(kernel.call(() => kernel.machine.load32(RAM))).toBe(8);
  });

  it('may resume on another CPU, whose registers it restores', () => {
    const { kernel, notes } = booted({ cpus: 2 });
    const { machine } = kernel;
    kernel.call(() => {
      kernel.spawn('faulting', () => {
        notes.add(machine.cpu.index);
        machine.store32(RAM, 8);
        notes.add(machine.cpu.index);
      });
    });
    let faults = 0;
    kernel.runner.attach({
      boundary(runner, kind, a) {
        if (kind !== Op.store32) return;
        if (a === RAM && faults++ === 0) runner.userPageFault(0x1000, true);
        // The host's next stores keep CPU 0 busy while CPU 1 takes the sleeper.
        else if (a === RAM + 64) runner.runOther(1, 400);
      },
    });
    kernel.call(() => {
      kernel.sched.yield();
      for (let i = 0; i < 4; i++) machine.store32(RAM + 64, i);
    });
    kernel.runner.attach(null);
    kernel.run();
    expect(faults).toBe(2);
    expect(notes.all).toEqual([0, 1]);
    expect([...machine.registers.interruptFlag.values]).toEqual([1, 1]);
    expect([...kernel.preempt.count.column.values]).toEqual([0, 0]);
  });

  it('is an error return for an access with an exception-table entry where it may not sleep', () => {
    const { kernel } = booted();
    kernel.runner.attach({
      boundary(runner, kind) {
        if ((kind & KIND_MASK) === Op.store32) {
          runner.userPageFault(0x1000, true, (kind & EXTABLE) !== 0);
        }
      },
    });
    const refused = kernel.call(() => {
      kernel.preempt.disable();
      const fixedUp = kernel.machine.tryStore32(RAM, 1);
      kernel.preempt.enable();
      return fixedUp;
    });
    kernel.runner.attach(null);
    expect(refused).toBe(true);
    expect(kernel.call(() => kernel.machine.load32(RAM))).toBe(0);
    expect(kernel.call(() => kernel.machine.tryLoad32(RAM))).not.toBe(FIXED_UP);
  });

  it('is an oops in atomic context without one', () => {
    const { kernel } = booted();
    kernel.runner.attach({
      boundary(runner, kind) {
        if (kind === Op.store32) runner.userPageFault(0x1000, true);
      },
    });
    const run = () =>
      kernel.call(() => {
        kernel.preempt.disable();
        kernel.machine.store32(RAM, 1);
      });
    expect(run).toThrow(TaskKilled);
    expect(kernel.dmesg).toContain('#PF: error_code(0x0002) - not-present page');
  });
});

describe('deadlocks', () => {
  it('a task that waits for what nobody will do is an error that names it', () => {
    const { kernel } = booted();
    const mutex = kernel.mutex('big_lock');
    expect(() =>
      kernel.call(() => {
        mutex.lock();
        mutex.lock();
      }),
    ).toThrow(Deadlock);
    expect(() => kernel.call(() => mutex.lock())).toThrow(
      'host waits for big_lock, which nobody can change',
    );
  });

  it('a spinlock that its own CPU holds is one too', () => {
    const kernel = boot();
    const lock = kernel.spinLock('my_lock');
    kernel.call(() => lock.lock());
    expect(() => kernel.call(() => lock.lock())).toThrow(
      'CPU 0 waits for my_lock[0], which nobody can change',
    );
  });
});
