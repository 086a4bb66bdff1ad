// SPDX-License-Identifier: MIT
import { KIND_MASK, Op } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import {
  type BootOptions,
  noChoices,
  RESCHEDULE_VECTOR,
  TaskState,
  TIF_WORK_CTXSW,
} from '../src/index.ts';
import { booted, reported } from './support.ts';

describe('schedule', () => {
  it('takes runnable tasks in turn', () => {
    const { kernel, notes } = booted();
    const spin = (id: number) => () => {
      for (let i = 0; i < 3; i++) {
        notes.add(id);
        kernel.sched.schedule();
      }
    };
    kernel.call(() => {
      kernel.spawn('A', spin(1));
      kernel.spawn('B', spin(2));
      kernel.spawn('C', spin(3));
    });
    kernel.run();
    expect(notes.all).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3]);
  });

  it('comes back at once where there is nobody else', () => {
    const { kernel } = booted();
    expect(kernel.call(() => kernel.sched.yield())).toBe(false);
    kernel.call(() => kernel.spawn('A', () => {}));
    expect(kernel.call(() => kernel.sched.yield())).toBe(true);
  });

  it('runs a bound task on its CPU alone, and the host goes on where it called', () => {
    const { kernel } = booted({ cpus: 2 });
    const { machine } = kernel;
    const ran = machine.column({ name: 'ran', type: 'u32', initial: 0, per: 'cpu' });
    const count = (): void => {
      for (let i = 0; i < 20; i++) {
        ran.add(machine.cpu.index, 1);
        kernel.sched.schedule();
      }
    };
    kernel.call(() => kernel.spawnCode({ name: 'bound', calls: [count], cpu: 1 }));
    // The host is preempted over and over while the other CPU takes whatever it may.
    kernel.runner.attach({
      boundary(runner) {
        if (machine.cpu.index === 0) runner.interrupt(RESCHEDULE_VECTOR);
        if (machine.cpu.index === 0) runner.runOther(1, 50);
      },
    });
    const cpus = kernel.call(() => [machine.cpu.index, kernel.sched.yield(), machine.cpu.index]);
    kernel.runner.attach(null);
    kernel.run();
    expect(cpus).toEqual([0, false, 0]);
    expect([...ran.values]).toEqual([0, 20]);
  });

  it('takes the slow path to a new task for the flags of the task before it', () => {
    const { kernel } = booted({ with: { schedHook: 'xtraOnly' } });
    const switched: number[] = [];
    kernel.slots.switchIn.push((next) => switched.push(next));
    kernel.call(() => kernel.tasks.tif.set(kernel.tasks.current, TIF_WORK_CTXSW));
    const task = kernel.call(() => kernel.spawn('A', () => {}));
    kernel.call(() => kernel.sched.schedule());
    expect(switched).toContain(task);
  });

  it('with preemption off says BUG and keeps the count of the task, not of the CPU', () => {
    const { kernel, notes } = booted();
    function sleepyDriver(): void {
      kernel.preempt.disable();
      kernel.sched.schedule();
      notes.add(kernel.preempt.count.read());
      kernel.preempt.enable();
    }
    kernel.call(() => {
      kernel.spawn('A', sleepyDriver);
      kernel.spawn('B', () => notes.add(kernel.preempt.count.read()));
    });
    kernel.run();
    expect(reported(kernel)).toEqual([
      'BUG: scheduling while atomic: A/2/0x00000001',
      'Call Trace:',
      ' __schedule',
      ' schedule',
      ' sleepy_driver',
    ]);
    expect([...notes.all].sort()).toEqual([0, 1]);
    expect(kernel.preempt.count.column.values[0]).toBe(0);
  });
});

describe('the switch hook', () => {
  const switches = (options: BootOptions, flagged: boolean): readonly number[] => {
    const { kernel, notes } = booted({
      ...options,
      modules: [
        {
          name: 'hook',
          ...noChoices,
          create(k) {
            k.slots.switchIn.push((next) => hook(next));
          },
        },
      ],
    });
    function hook(next: number): void {
      notes.add(next === kernel.tasks.currentOfCpu.read() ? 1 : 2);
    }
    kernel.call(() => {
      const task = kernel.spawn('A', () => {});
      if (flagged) kernel.tasks.tif.set(task, TIF_WORK_CTXSW);
    });
    const before = notes.all.length;
    kernel.run();
    return notes.all.slice(before);
  };

  it('on the slow path only is not called between tasks without work flags (D-08)', () => {
    for (const options of [{ revision: 'rfc-v2' }, { sabotages: ['switch-slow-path-only'] }]) {
      expect(switches(options as BootOptions, false)).toEqual([]);
      expect(switches(options as BootOptions, true)).not.toEqual([]);
    }
  });

  it('at the end of the switch is called for every task, after `current` is set', () => {
    expect(new Set(switches({}, false))).toEqual(new Set([1]));
  });

  it('before `current` is set sees the previous task there', () => {
    expect(switches({ with: { schedHook: 'beforeCurrent' } }, false)).toContain(2);
  });
});

describe('a task that leaves its CPU', () => {
  it('is on it until another one is current there, and no other CPU takes it before', () => {
    const { kernel } = booted({ cpus: 2 });
    const { machine, tasks } = kernel;
    const current = tasks.currentTask.values;
    const seen = new Set<number>();
    const spin = (): void => {
      for (let i = 0; i < 5; i++) kernel.sched.schedule();
    };
    kernel.call(() => {
      for (const name of ['A', 'B', 'C']) kernel.spawn(name, spin);
    });
    // CPU 1 looks for work while CPU 0 is on the next task's stack, and has the last one as current.
    kernel.runner.attach({
      boundary(runner, kind, column) {
        if (machine.cpu.index === 1 || (kind & KIND_MASK) !== Op.thisCpuSet) return;
        if (column === tasks.currentTask.id) runner.runOther(1, 30);
        if (current[0] === current[1]) seen.add(current[0] as number);
      },
    });
    kernel.run();
    expect([...seen]).toEqual([]);
    expect(tasks.state.values.filter((state) => state === TaskState.dead).length).toBe(3);
  });
});

describe('exit', () => {
  it('calls the exit slots with the task, which is dead afterwards', () => {
    const { kernel, notes } = booted();
    kernel.slots.exit.push((task) => notes.add(task));
    const task = kernel.call(() => kernel.spawn('A', () => {}));
    kernel.run();
    expect(notes.all).toEqual([task]);
    expect(kernel.tasks.state.values[task]).toBe(TaskState.dead);
    expect(kernel.tasks.onCpu.values[task]).toBe(0);
  });
});

describe('sleeping', () => {
  it('until a cell holds a value wakes when another task stores it', () => {
    const { kernel, notes } = booted();
    const flag = kernel.machine.column({
      name: 'test.flag',
      type: 'u32',
      initial: 0,
      per: 'global',
    });
    kernel.call(() => {
      kernel.spawn('sleeper', () => {
        kernel.sched.sleepUntil(flag, 0, 1);
        notes.add(2);
      });
      kernel.spawn('waker', () => {
        notes.add(1);
        flag.set(0, 1);
      });
    });
    kernel.run();
    expect(notes.all).toEqual([1, 2]);
  });
});
