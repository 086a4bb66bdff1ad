// SPDX-License-Identifier: MIT
import {
  type BootOptions,
  RESCHEDULE_VECTOR,
  type Runner,
  TaskKilled,
  TIF_WORK_CTXSW,
} from '@pkslab/kernel';
import { CR4_PKS } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { atBoundary, atEveryBoundary } from '../../../scripts/testing/boundaries.ts';
import { INIT_PKRS_VALUE, PKEY_DISABLE_ACCESS, PKEY_DISABLE_WRITE } from '../src/index.ts';
import { consumer, OPEN_KEY_1, pkrsOf, RAM, readPkrs, reported, withPks } from './support.ts';

const irq = (runner: Runner): boolean => runner.interrupt(0x20);
const nmi = (runner: Runner): boolean => runner.nmi();
const preempt = (runner: Runner): boolean => runner.interrupt(RESCHEDULE_VECTOR);

describe('setup_pks', () => {
  it('leaves every CPU with CR4.PKS set and register and cache at INIT', () => {
    const { kernel, pkrs } = withPks({ cpus: 3 });
    for (let cpu = 0; cpu < 3; cpu++) {
      expect((kernel.machine.registers.cr4.values[cpu] as number) & CR4_PKS).toBe(CR4_PKS);
      expect(pkrsOf(kernel, cpu)).toBe(INIT_PKRS_VALUE);
      expect(pkrs.cache.column.values[cpu]).toBe(INIT_PKRS_VALUE);
    }
  });

  it('leaves a CPU without PKS alone', () => {
    const { kernel } = withPks({ features: { pks: false } });
    expect((kernel.machine.registers.cr4.values[0] as number) & CR4_PKS).toBe(0);
  });
});

describe('pks_update_protection', () => {
  it('changes register, cache and saved value of the calling thread', () => {
    const { kernel, keys, pkrs } = withPks();
    const task = kernel.call(() => {
      pkrs.updateProtection(keys.alloc('x'), 0);
      return kernel.tasks.current;
    });
    expect(pkrsOf(kernel)).toBe(OPEN_KEY_1);
    expect(pkrs.cache.column.values[0]).toBe(OPEN_KEY_1);
    expect(pkrs.saved.values[task]).toBe(OPEN_KEY_1);
    kernel.call(() => pkrs.updateProtection(1, PKEY_DISABLE_WRITE));
    expect(pkrsOf(kernel)).toBe(0x5555_5558);
  });

  it('decides whether pages of the key can be touched', () => {
    const { kernel, keys, pkrs } = withPks();
    const { machine } = kernel;
    const page = kernel.call(() =>
      kernel.mm.vmalloc(4096, { key: keys.alloc('x'), writable: true }),
    );
    const refused = (protection: number): boolean[] =>
      kernel.call(() => {
        pkrs.updateProtection(1, protection);
        return [machine.tryStore32(page, 1), machine.tryLoad32(page) < 0];
      });
    expect(refused(PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE)).toEqual([true, true]);
    expect(refused(0)).toEqual([false, false]);
    expect(refused(PKEY_DISABLE_WRITE)).toEqual([true, false]);
    expect(refused(PKEY_DISABLE_ACCESS)).toEqual([true, true]);
  });

  it.each([
    [0, 0, 'update of key 0, which every mapping has'],
    [16, 0, 'update of key 16: keys are 1 to 15'],
    [-1, 0, 'update of key -1: keys are 1 to 15'],
    [1.5, 0, 'update of key 1.5: keys are 1 to 15'],
    [1, 4, 'update of key 1 with protection 0x4: there is 0x1 and 0x2'],
    [9, 0, 'update of key 9, which is not allocated'],
  ])('of key %d to 0x%x is a WARN and no change under reference', (key, protection, message) => {
    const { kernel, keys, pkrs } = withPks();
    function carelessDriver(): void {
      pkrs.updateProtection(key, protection);
    }
    kernel.call(() => keys.alloc('x'));
    kernel.call(carelessDriver);
    expect(reported(kernel).slice(1, 3)).toEqual([
      `x86/pkeys: ${message}`,
      'WARNING: CPU: 0 PID: 1 at pks_update_protection',
    ]);
    expect(reported(kernel)).toContain(' careless_driver');
    expect(pkrsOf(kernel)).toBe(INIT_PKRS_VALUE);
  });

  it('trusts its caller under rfc-v2: key 0 can be closed, an unallocated one opened', () => {
    const { kernel, pkrs } = withPks({ revision: 'rfc-v2' });
    kernel.call(() => pkrs.updateProtection(9, 0));
    expect(pkrsOf(kernel)).toBe(0x5551_5554);
    kernel.call(() => pkrs.updateProtection(0, PKEY_DISABLE_WRITE));
    expect(pkrsOf(kernel)).toBe(0x5551_5556);
    expect(reported(kernel)).toEqual([]);
  });
});

/** Two tasks that each open another key, store, and close it; true if both had their own rights throughout. */
function tasksKeepRights(options: BootOptions, fire: (runner: Runner) => unknown): boolean {
  let right = true;
  atEveryBoundary<Runner>(fire, (source) => {
    const { kernel, keys, pkrs } = withPks(options);
    const ok = kernel.machine.column({ name: 'ok', type: 'u32', initial: 0, per: 'global' });
    const body = (key: number) => () => {
      pkrs.updateProtection(key, 0);
      const opened = (readPkrs(kernel) >>> (key * 2)) & 3;
      const others = readPkrs(kernel) | (3 << (key * 2));
      if (opened === 0 && others >>> 0 === (INIT_PKRS_VALUE | (3 << (key * 2))) >>> 0) ok.add(0, 1);
      pkrs.updateProtection(key, PKEY_DISABLE_ACCESS);
      if (readPkrs(kernel) === INIT_PKRS_VALUE) ok.add(0, 1);
    };
    kernel.call(() => {
      keys.alloc('a');
      keys.alloc('b');
      kernel.spawn('A', body(1));
      kernel.spawn('B', body(2));
    });
    kernel.runner.attach(source);
    kernel.run();
    kernel.runner.attach(null);
    if (ok.values[0] !== 4) right = false;
  });
  return right;
}

describe('over a context switch', () => {
  it('each task has its own rights, wherever it is preempted', () => {
    expect(tasksKeepRights({}, preempt)).toBe(true);
  });

  it('under rfc-v2 a task without work flags runs with the rights of the one before (D-08)', () => {
    const seen = (options: BootOptions, flag: boolean): number => {
      const { kernel, keys, pkrs } = withPks({ revision: 'rfc-v2', ...options });
      const got = kernel.machine.column({ name: 'got', type: 'u32', initial: 0, per: 'global' });
      // The second task exists before the first opens its key: fork would copy the rights.
      kernel.call(() => {
        keys.alloc('x');
        kernel.spawn('A', () => {
          pkrs.updateProtection(1, 0);
          kernel.sched.schedule();
        });
        const b = kernel.spawn('B', () => got.set(0, readPkrs(kernel)));
        if (flag) kernel.tasks.tif.set(b, TIF_WORK_CTXSW);
      });
      kernel.run();
      return got.values[0] as number;
    };
    expect(seen({}, false)).toBe(OPEN_KEY_1);
    expect(seen({}, true)).toBe(INIT_PKRS_VALUE);
    expect(seen({ repairs: ['D-08'] }, false)).toBe(INIT_PKRS_VALUE);
  });
});

describe('over an interrupt', () => {
  const inHandler = (options: BootOptions, fire: (runner: Runner) => unknown) => {
    const { kernel, keys, pkrs } = withPks(options);
    const seen = kernel.machine.column({ name: 'seen', type: 'u32', initial: 1, per: 'global' });
    const handler = (): void => seen.set(0, readPkrs(kernel));
    kernel.entry.requestIrq(0x20, handler);
    kernel.entry.registerNmi(handler);
    const task = kernel.call(() => {
      pkrs.updateProtection(keys.alloc('x'), 0);
      return kernel.tasks.current;
    });
    kernel.runner.attach(atBoundary<Runner>(1, fire));
    kernel.call(() => kernel.machine.store32(RAM, 1));
    kernel.runner.attach(null);
    return { inside: seen.values[0], after: pkrsOf(kernel), saved: pkrs.saved.values[task] };
  };

  it.each([irq, nmi])('a handler starts with INIT, and the task gets its rights back', (fire) => {
    expect(inHandler({}, fire)).toEqual({
      inside: INIT_PKRS_VALUE,
      after: OPEN_KEY_1,
      saved: OPEN_KEY_1,
    });
  });

  it('under rfc-v2 the register is 0 after any interrupt of kernel mode: all keys open (D-01)', () => {
    expect(inHandler({ revision: 'rfc-v2' }, irq)).toMatchObject({
      inside: INIT_PKRS_VALUE,
      after: 0,
    });
    const idle = withPks({ revision: 'rfc-v2' }).kernel;
    idle.runner.attach(atBoundary<Runner>(1, irq));
    idle.call(() => idle.machine.store32(RAM, 1));
    expect(pkrsOf(idle)).toBe(0);
    expect(inHandler({ revision: 'rfc-v2', repairs: ['D-01'] }, irq).after).toBe(OPEN_KEY_1);
  });

  it('under rfc-v2 an NMI handler has the rights of the task that it interrupts (D-03)', () => {
    expect(inHandler({ revision: 'rfc-v2' }, nmi).inside).toBe(OPEN_KEY_1);
    const repaired = inHandler({ revision: 'rfc-v2', repairs: ['D-01', 'D-03'] }, nmi);
    expect(repaired).toMatchObject({ inside: INIT_PKRS_VALUE, after: OPEN_KEY_1 });
  });

  it('a handler that changes a key leaves the saved value of the task alone, unless only the cache is kept', () => {
    const savedAfter = (options: BootOptions): number => {
      const { kernel, keys, pkrs } = withPks(options);
      kernel.call(() => keys.alloc('x'));
      kernel.entry.requestIrq(0x20, () => {
        pkrs.updateProtection(1, 0);
      });
      kernel.runner.attach(atBoundary<Runner>(1, irq));
      const task = kernel.call(() => {
        kernel.machine.store32(RAM, 1);
        return kernel.tasks.current;
      });
      kernel.runner.attach(null);
      return pkrs.saved.values[task] as number;
    };
    expect(savedAfter({})).toBe(INIT_PKRS_VALUE);
    expect(savedAfter({ with: { entrySaves: 'cacheAndSaved' } })).toBe(INIT_PKRS_VALUE);
    expect(savedAfter({ sabotages: ['saved-not-preserved'] })).toBe(OPEN_KEY_1);
    expect(savedAfter({ revision: 'rfc-v2', repairs: ['D-01', 'D-04'] })).toBe(INIT_PKRS_VALUE);
  });

  it.each([irq, nmi])('at every boundary of an update leaves its outcome as it was', (fire) => {
    expect(tasksKeepRights({}, fire)).toBe(true);
  });
});

describe('sabotages', () => {
  it.each([
    ['entry-saves-nothing', nmi],
    ['saved-not-preserved', irq],
    ['switch-writes-nothing', preempt],
  ] as const)('%s is caught by the check of handlers or of tasks', (sabotage, fire) => {
    const { kernel, keys, pkrs } = withPks({ sabotages: [sabotage] });
    const inside = kernel.machine.column({ name: 'in', type: 'u32', initial: 0, per: 'global' });
    const handler = (): void => {
      inside.set(0, readPkrs(kernel));
      pkrs.updateProtection(2, 0);
    };
    kernel.entry.requestIrq(0x20, handler);
    kernel.entry.registerNmi(handler);
    kernel.call(() => {
      keys.alloc('a');
      keys.alloc('b');
    });
    kernel.runner.attach(atBoundary<Runner>(1, fire));
    const saved = kernel.call(() => {
      kernel.machine.store32(RAM, 1);
      return pkrs.saved.get(kernel.tasks.current);
    });
    kernel.runner.attach(null);
    const handlersHold = saved === INIT_PKRS_VALUE && pkrsOf(kernel) === INIT_PKRS_VALUE;
    expect(handlersHold && tasksKeepRights({ sabotages: [sabotage] }, fire)).toBe(false);
  });

  it('fork-copies-rights is caught by the check of a new task', () => {
    const childRights = (options: BootOptions): number => {
      const { kernel, keys, pkrs } = withPks(options);
      const child = kernel.call(() => {
        pkrs.updateProtection(keys.alloc('x'), 0);
        return kernel.spawn('child', () => {});
      });
      return pkrs.saved.values[child] as number;
    };
    expect(childRights({})).toBe(INIT_PKRS_VALUE);
    expect(childRights({ sabotages: ['fork-copies-rights'] })).toBe(OPEN_KEY_1);
    expect(childRights({ revision: 'rfc-v2' })).toBe(OPEN_KEY_1);
  });
});

describe('exec', () => {
  it('starts the program with INIT; under rfc-v2 the register follows at the next switch only', () => {
    const after = (options: BootOptions): unknown => {
      const { kernel, keys, pkrs } = withPks(options);
      const task = kernel.call(() => {
        pkrs.updateProtection(keys.alloc('x'), 0);
        kernel.exec('program');
        return kernel.tasks.current;
      });
      return { register: pkrsOf(kernel), saved: pkrs.saved.values[task] };
    };
    expect(after({})).toEqual({ register: INIT_PKRS_VALUE, saved: INIT_PKRS_VALUE });
    expect(after({ revision: 'rfc-v2' })).toEqual({ register: OPEN_KEY_1, saved: INIT_PKRS_VALUE });
  });
});

describe('an oops', () => {
  const oops = (options: BootOptions): readonly string[] => {
    const { kernel, keys, pkrs } = withPks(options);
    expect(() =>
      kernel.call(() => {
        pkrs.changeRights(keys.alloc('x'), 0);
        kernel.machine.store32(-4096, 1);
      }),
    ).toThrow(TaskKilled);
    return reported(kernel).filter((line) => line.startsWith('PKRS'));
  };

  it('prints the rights of the context that faulted, not of the handler', () => {
    expect(oops({})).toEqual(['PKRS: 0x55555550']);
    expect(oops({ with: { entrySaves: 'cache' } })).toEqual(['PKRS: 0x55555550']);
    expect(oops({ with: { entrySaves: 'nothing' } })).toEqual(['PKRS: 0x55555550']);
  });

  /** The lines around the one that has PKRS, for a fault on a key, on an address nobody maps, and a #GP. */
  const places = (options: BootOptions): readonly string[] => {
    const { kernel } = withPks({ ...options, modules: [consumer] });
    const { machine, mm } = kernel;
    const page = kernel.call(() => mm.vmalloc(4096, { key: 9, writable: true }));
    const accesses = [
      () => machine.load32(page),
      () => machine.load32(-4096),
      () => machine.rdmsr(0x1234),
    ];
    return accesses.map((access) => {
      kernel.printk.clear();
      expect(() => kernel.call(access)).toThrow(TaskKilled);
      const at = kernel.dmesg.findIndex((line) => line.startsWith('PKRS'));
      const around = [kernel.dmesg[at - 1], kernel.dmesg[at + 1]];
      return at < 0 ? 'none' : around.map((line) => line?.split(/[ :(]/)[0]).join(' < > ');
    });
  };

  it('prints them after the error code of a key fault up to V7, with the registers since V10', () => {
    expect(places({ revision: 'rfc-v3' })).toEqual(['#PF < > PGD', 'none', 'none']);
    expect(places({ revision: 'v7' })).toEqual(['#PF < > PGD', 'none', 'none']);
    const everywhere = Array(3).fill('CPU < > Call');
    expect(places({ revision: 'v10' })).toEqual(everywhere);
    expect(places({})).toEqual(everywhere);
  });

  it('prints none under rfc-v2', () => {
    expect(oops({ revision: 'rfc-v2' })).toEqual([]);
  });

  it('prints none on a CPU without PKS (D-49)', () => {
    const { kernel } = withPks({ features: { pks: false } });
    expect(() => kernel.call(() => kernel.machine.store32(-4096, 1))).toThrow(TaskKilled);
    expect(kernel.dmesg.join()).not.toContain('PKRS');
  });
});

describe('pks_update_exception', () => {
  it('refuses what pks_update_protection refuses', () => {
    const { kernel, pkrs } = withPks();
    kernel.slots.keyFault.push((regs) => {
      pkrs.updateException(regs.state, 0, PKEY_DISABLE_ACCESS);
      return false;
    });
    const page = kernel.call(() => kernel.mm.vmalloc(4096, { key: 9, writable: true }));
    expect(kernel.call(() => kernel.machine.tryStore32(page, 1))).toBe(true);
    expect(readPkrs(kernel)).toBe(INIT_PKRS_VALUE);
    expect(reported(kernel)).toContain('x86/pkeys: update of key 0, which every mapping has');
  });
});

describe('an entry that keeps nothing (entry-saves-nothing)', () => {
  it.each(['rfc-v3', 'v7'] as const)('lets no fault of %s be tried again', (revision) => {
    const { kernel } = withPks({
      revision,
      sabotages: ['entry-saves-nothing'],
      modules: [consumer],
    });
    const page = kernel.call(() => kernel.mm.vmalloc(4096, { key: 9, writable: true }));
    expect(kernel.call(() => kernel.machine.tryStore32(page, 1))).toBe(true);
  });
});
