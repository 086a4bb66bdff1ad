// SPDX-License-Identifier: MIT
import { KIND_MASK, Op, type OperationHook } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { atBoundary } from '../../../scripts/testing/boundaries.ts';
import {
  type BootOptions,
  HYPERVISOR_CALLBACK_VECTOR,
  type Kernel,
  type KernelModule,
  Mark,
  noChoices,
  RESCHEDULE_VECTOR,
  type Runner,
  SOFTIRQ_OFFSET,
  SoftirqNumber,
} from '../src/index.ts';
import { booted, RAM } from './support.ts';

/** A module whose entry hooks tell what holds while they run. */
function watcher(tell: (what: string) => void): KernelModule<null> {
  return {
    name: 'watcher',
    ...noChoices,
    create({ slots }) {
      slots.entrySave.push(() => tell('save'));
      slots.entryRestore.push(() => tell('restore'));
      return null;
    },
  };
}

/** Whether RCU watched and code could be traced at each save and restore of an entry out of the idle loop. */
function inIdle(options: BootOptions, enter: (kernel: Kernel) => void): readonly string[] {
  const seen: string[] = [];
  let instrumented = false;
  const { kernel } = booted({
    ...options,
    modules: [
      watcher((what) => {
        const watching = kernel.rcu.nesting.column.values[0] !== 0;
        seen.push(`${what}: ${watching ? 'watched' : 'unwatched'}, ${instrumented}`);
      }),
    ],
  });
  const { machine } = kernel;
  const marks: OperationHook = {
    operate(kind, a, b, c, d) {
      if ((kind & KIND_MASK) === Op.mark && a === Mark.instrumentation) instrumented = b === 1;
      return machine.perform(kind, a, b, c, d);
    },
  };
  kernel.tasks.currentTask.values[0] = 0;
  kernel.rcu.idleEnter();
  machine.hook = marks;
  enter(kernel);
  machine.hook = null;
  expect(kernel.rcu.nesting.column.values[0]).toBe(0);
  return seen;
}

const irq = (kernel: Kernel): void => kernel.machine.deliverInterrupt(0x20);
const nmi = (kernel: Kernel): void => kernel.machine.deliverNmi();

const RIGHT = ['save: watched, true', 'restore: watched, true'];

describe('saving and restoring (I14, D-07)', () => {
  it.each([
    ['an interrupt', irq],
    ['an NMI', nmi],
  ])(
    'of %s out of the idle loop happens while RCU watches and tracing is allowed',
    (_what, enter) => {
      expect(inIdle({}, enter)).toEqual(RIGHT);
      expect(inIdle({ revision: 'v10' }, enter)).toEqual(RIGHT);
      expect(inIdle({ revision: 'v7', repairs: ['D-07'] }, enter)).toEqual(RIGHT);
    },
  );

  it.each(['rfc-v2', 'rfc-v3', 'v7'] as const)('comes before RCU is told in %s', (revision) => {
    const seen = inIdle({ revision }, irq);
    expect(seen).toEqual(['save: unwatched, false', 'restore: watched, false']);
    expect(inIdle({ sabotages: ['save-before-rcu'] }, irq)).toEqual(seen);
  });
});

describe('RCU', () => {
  it('watches a CPU except while it is halted; handlers in between are watched', () => {
    const { kernel, notes } = booted({ cpus: 2 });
    const nesting = kernel.rcu.nesting.column;
    const look = kernel.smp.register(() => notes.add(nesting.get(1)));
    kernel.call(() => kernel.smp.call(1, look));
    kernel.call(() => kernel.smp.call(1, look));
    // The first came before CPU 1 had halted at all.
    expect(notes.all).toEqual([2, 1]);
    expect(kernel.call(() => kernel.rcu.isWatching)).toBe(true);
    expect([...nesting.values]).toEqual([1, 0]);
  });
});

describe('#DB and #BP', () => {
  const saves = (options: BootOptions, fire: (runner: Runner) => unknown): number => {
    let count = 0;
    const { kernel, notes } = booted({ ...options, modules: [watcher(() => count++)] });
    kernel.entry.requestIrq(1, () => notes.add(kernel.preempt.count.read()));
    kernel.entry.requestIrq(3, () => notes.add(kernel.preempt.count.read()));
    kernel.runner.attach(atBoundary<Runner>(2, fire));
    kernel.call(() => {
      kernel.machine.cli();
      kernel.machine.store32(RAM, 1);
      kernel.machine.sti();
    });
    expect(notes.all).toEqual([0x11_0000]);
    return count;
  };

  it('are of the NMI class: IF does not mask them, and RFC V2 and V3 do not cover them', () => {
    for (const vector of [1, 3]) {
      const fire = (runner: Runner): void => runner.debugException(vector);
      expect(saves({}, fire)).toBe(2);
      expect(saves({ revision: 'v7' }, fire)).toBe(2);
      expect(saves({ revision: 'rfc-v3' }, fire)).toBe(0);
      expect(saves({ revision: 'rfc-v2' }, fire)).toBe(0);
    }
  });
});

describe('#DF', () => {
  it('stops the machine', () => {
    const { kernel } = booted();
    expect(() => kernel.call(() => kernel.entry.doubleFault(1))).toThrow(
      'Kernel panic - not syncing: Fatal exception in interrupt',
    );
    expect(kernel.dmesg.slice(1, 3)).toEqual([
      'PANIC: double fault, error_code: 0x0',
      'double fault: 0000 [#1] PREEMPT SMP NOPTI',
    ]);
  });
});

describe('xen_pv_evtchn_do_upcall (D-14)', () => {
  const upcall = (options: BootOptions): readonly string[] => {
    const seen: string[] = [];
    const { kernel } = booted({ ...options, modules: [watcher((what) => seen.push(what))] });
    kernel.call(() => {
      kernel.entry.preemptibleHypercall.write(1);
      kernel.machine.deliverInterrupt(HYPERVISOR_CALLBACK_VECTOR);
      expect(kernel.entry.preemptibleHypercall.read()).toBe(1);
      kernel.entry.preemptibleHypercall.write(0);
    });
    return seen;
  };

  it('restores on its own way out of a preemptible hypercall', () => {
    for (const revision of ['rfc-v2', 'v7', 'v10', 'reference'] as const) {
      expect(upcall({ revision })).toEqual(['save', 'restore']);
    }
  });

  it('leaves the handler’s state behind where that is forgotten: xen-upcall-forgets', () => {
    expect(upcall({ sabotages: ['xen-upcall-forgets'] })).toEqual(['save']);
    expect(upcall({ sabotages: ['xen-upcall-forgets'], with: { xenUpcall: 'restores' } })).toEqual([
      'save',
      'restore',
    ]);
  });

  it('may reschedule there', () => {
    const { kernel, notes } = booted();
    kernel.entry.requestIrq(HYPERVISOR_CALLBACK_VECTOR, () => kernel.preempt.needResched.write(1));
    kernel.call(() => {
      kernel.spawn('other', () => notes.add(1));
      kernel.entry.preemptibleHypercall.write(1);
      kernel.machine.deliverInterrupt(HYPERVISOR_CALLBACK_VECTOR);
      notes.add(2);
    });
    expect(notes.all).toEqual([1, 2]);
  });
});

describe('xen_pv_evtchn_do_upcall out of the idle loop', () => {
  it('leaves as every entry does there, though a hypercaller has left its flag behind', () => {
    const { kernel } = booted({ cpus: 2 });
    const nesting = kernel.rcu.nesting.column;
    kernel.tasks.currentTask.values[0] = 0;
    kernel.entry.preemptibleHypercall.write(1);
    kernel.rcu.idleEnter();
    kernel.preempt.needResched.write(1);
    kernel.machine.deliverInterrupt(HYPERVISOR_CALLBACK_VECTOR);
    expect(nesting.values[0]).toBe(0);
    // The idle loop looks for itself whether it must reschedule.
    expect(kernel.preempt.needResched.read()).toBe(1);
  });
});

describe('softirqs', () => {
  it('run on the way out of the interrupt, with interrupts on and no switch', () => {
    const { kernel, notes } = booted();
    const flag = kernel.machine.registers.interruptFlag;
    kernel.softirq.open(SoftirqNumber.block, () => {
      notes.add(kernel.preempt.count.read());
      notes.add(flag.get(0));
    });
    kernel.entry.requestIrq(0x20, () => {
      kernel.softirq.raise(SoftirqNumber.block);
      notes.add(-1);
    });
    kernel.call(() => kernel.machine.deliverInterrupt(0x20));
    expect(notes.all).toEqual([-1, SOFTIRQ_OFFSET, 1]);
    expect(kernel.preempt.count.column.values[0]).toBe(0);
  });

  it('are interrupted; what the nested interrupt raises runs after them, lowest number first', () => {
    const { kernel, notes } = booted();
    kernel.softirq.open(SoftirqNumber.tasklet, () => notes.add(6));
    kernel.softirq.open(SoftirqNumber.timer, () => notes.add(1));
    kernel.softirq.open(SoftirqNumber.block, () => {
      notes.add(4);
      kernel.machine.deliverInterrupt(0x21);
      kernel.machine.deliverInterrupt(RESCHEDULE_VECTOR);
      notes.add(44);
    });
    kernel.entry.requestIrq(0x20, () => kernel.softirq.raise(SoftirqNumber.block));
    kernel.entry.requestIrq(0x21, () => {
      kernel.softirq.raise(SoftirqNumber.tasklet);
      kernel.softirq.raise(SoftirqNumber.timer);
    });
    kernel.call(() => {
      kernel.spawn('other', () => notes.add(99));
      kernel.machine.deliverInterrupt(0x20);
    });
    // The switch that fell due comes at the interrupt's exit, after all of them.
    expect(notes.all).toEqual([4, 44, 1, 6, 99]);
  });

  it('that raise themselves end after ten rounds, the rest at the next interrupt', () => {
    const { kernel, notes } = booted();
    kernel.softirq.open(SoftirqNumber.hi, () => {
      notes.add(1);
      kernel.softirq.raise(SoftirqNumber.hi);
    });
    kernel.call(() => kernel.softirq.raise(SoftirqNumber.hi));
    expect(notes.all).toHaveLength(10);
    kernel.call(() => kernel.machine.deliverInterrupt(0x20));
    expect(notes.all).toHaveLength(20);
  });

  describe('that a task raises', () => {
    const raised = (around: (kernel: Kernel, raise: () => void) => void): readonly number[] => {
      const { kernel, notes } = booted();
      const flag = kernel.machine.registers.interruptFlag;
      kernel.softirq.open(SoftirqNumber.block, () => notes.add(7));
      kernel.call(() =>
        around(kernel, () => {
          kernel.softirq.raise(SoftirqNumber.block);
          notes.add(flag.get(0));
        }),
      );
      kernel.call(() => kernel.machine.deliverInterrupt(0x20));
      return notes.all;
    };

    it('run at once', () => {
      expect(raised((_kernel, raise) => raise())).toEqual([7, 1]);
    });

    it('in a section with interrupts off wait for the next interrupt', () => {
      const seen = raised(({ machine }, raise) => {
        const flags = machine.pushfCli();
        raise();
        machine.popfIf(flags);
      });
      expect(seen).toEqual([0, 7]);
    });

    it('under a spinlock wait for the next interrupt, too', () => {
      const seen = raised((kernel, raise) => {
        const lock = kernel.spinLock('test_lock');
        lock.lock();
        raise();
        lock.unlock();
      });
      expect(seen).toEqual([1, 7]);
    });
  });
});
