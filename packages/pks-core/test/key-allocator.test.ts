// SPDX-License-Identifier: MIT
import { type BootOptions, EINVAL, ENOSPC, RESCHEDULE_VECTOR, type Runner } from '@pkslab/kernel';
import { Op } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { atEveryBoundary } from '../../../scripts/testing/boundaries.ts';
import { pkrPair } from '../src/index.ts';
import { OPEN_KEY_1, pkrsOf, RAM, reported, withPks } from './support.ts';

const FILE = 'x86/pks_keys_allocated';

describe('pks_key_alloc', () => {
  it('gives 1, 2, … 15 and then -ENOSPC, and says for whom there was none', () => {
    const { kernel, keys } = withPks();
    const got = kernel.call(() =>
      Array.from({ length: 17 }, (_, i) => keys.alloc(`user ${i + 1}`)),
    );
    const expected = Array.from({ length: 15 }, (_, i) => i + 1);
    expect(got).toEqual([...expected, -ENOSPC, -ENOSPC]);
    expect(reported(kernel)).toEqual([
      'x86/pkeys: Cannot allocate supervisor key for user 16.',
      'x86/pkeys: Cannot allocate supervisor key for user 17.',
    ]);
  });

  it('of a revision without a key left leaves a bit behind in RFC V2 alone', () => {
    const mapAfter = (options: BootOptions, allocs: number): string => {
      const { kernel, keys } = withPks(options);
      const got = kernel.call(() => Array.from({ length: allocs }, () => keys.alloc('x')));
      expect(got.slice(15).every((key) => key === -ENOSPC)).toBe(true);
      kernel.call(() => keys.free(7));
      expect(kernel.call(() => keys.alloc('again'))).toBe(7);
      const halves = ['pks_key_allocation_map.upper', 'pks_key_allocation_map'].map((name) => {
        const column = kernel.machine.columns.find(({ field }) => field.name === name);
        return ((column?.values[0] ?? 0) as number).toString(16);
      });
      return halves.join(' ');
    };
    const posted: BootOptions = { revision: 'rfc-v2' };
    expect(mapAfter(posted, 15)).toBe('0 ffff');
    expect(mapAfter(posted, 18)).toBe('0 7ffff');
    expect(mapAfter(posted, 15 + 48)).toBe('ffffffff ffffffff');
    expect(mapAfter(posted, 15 + 50)).toBe('ffffffff ffffffff');
    for (const options of [{}, { revision: 'rfc-v3' } as const]) {
      expect(mapAfter(options, 65)).toBe('0 ffff');
    }
  });

  it('always gives the lowest free key', () => {
    const { kernel, keys } = withPks();
    const got = kernel.call(() => {
      for (let i = 0; i < 5; i++) keys.alloc('x');
      keys.free(4);
      keys.free(2);
      return [keys.alloc('y'), keys.alloc('z'), keys.alloc('w')];
    });
    expect(got).toEqual([2, 4, 6]);
  });

  it('gives -EINVAL without PKS, and there is no file then', () => {
    const { kernel, keys } = withPks({ features: { pks: false } });
    expect(kernel.call(() => keys.alloc('x'))).toBe(-EINVAL);
    kernel.call(() => keys.free(1));
    expect(kernel.debugfs.list()).toEqual([]);
  });

  it('gives two tasks two keys, wherever one is preempted', () => {
    atEveryBoundary<Runner>(
      (runner) => runner.interrupt(RESCHEDULE_VECTOR),
      (source) => {
        const { kernel, keys } = withPks();
        kernel.call(() => {
          kernel.spawn('A', () => keys.alloc('A'));
          kernel.spawn('B', () => keys.alloc('B'));
        });
        kernel.runner.attach(source);
        kernel.run();
        kernel.runner.attach(null);
        const text = kernel.call(() => kernel.debugfs.read(FILE));
        expect(text.split('\n').sort()).toEqual(
          expect.arrayContaining(['0: kernel', expect.stringMatching(/^1: [AB]$/)]),
        );
        expect(text).toMatch(/: A\n/);
        expect(text).toMatch(/: B\n/);
      },
    );
  });

  it('says so where it may not sleep', () => {
    const { kernel, keys } = withPks();
    kernel.call(() => {
      kernel.preempt.disable();
      keys.alloc('x');
      kernel.preempt.enable();
    });
    expect(reported(kernel)[0]).toBe(
      'BUG: sleeping function called from invalid context at pks_key_alloc',
    );
  });
});

describe('pks_keys_allocated', () => {
  it('has mode 0400 and one line for each key', () => {
    const { kernel, keys } = withPks();
    expect(kernel.debugfs.mode(FILE)).toBe(0o400);
    kernel.call(() => keys.alloc('Device Memory'));
    expect(kernel.call(() => kernel.debugfs.read(FILE))).toBe('0: kernel\n1: Device Memory\n');
    kernel.call(() => keys.free(1));
    expect(kernel.call(() => kernel.debugfs.read(FILE))).toBe('0: kernel\n');
  });

  it('shows a key without a name as (null)', () => {
    const { kernel, keys } = withPks();
    kernel.call(() => keys.alloc('x'));
    const users = kernel.machine.columns.find(({ field }) => field.name === 'pks_key_users');
    users?.poke(1, 0);
    expect(kernel.call(() => kernel.debugfs.read(FILE))).toBe('0: kernel\n1: (null)\n');
  });
});

describe('pks_key_free', () => {
  it('closes the key in the calling thread', () => {
    const { kernel, keys, pkrs } = withPks();
    kernel.call(() => pkrs.updateProtection(keys.alloc('x'), 0));
    expect(pkrsOf(kernel)).toBe(OPEN_KEY_1);
    kernel.call(() => keys.free(1));
    expect(pkrsOf(kernel)).toBe(0x5555_5554);
  });

  it.each([0, -1, 16])('of %d, which is no key of a driver, does nothing', (key) => {
    const { kernel, keys } = withPks();
    kernel.call(() => keys.free(key));
    expect(reported(kernel)).toEqual([]);
    expect(kernel.call(() => kernel.debugfs.read(FILE))).toBe('0: kernel\n');
  });

  it('twice is a WARN with the caller under reference, and nothing under rfc-v2', () => {
    const twice = (revision: 'reference' | 'rfc-v2') => {
      const { kernel, keys } = withPks({ revision });
      function carelessDriver(): void {
        const key = keys.alloc('careless');
        keys.free(key);
        keys.free(key);
      }
      kernel.call(carelessDriver);
      return reported(kernel);
    };
    expect(twice('reference').slice(1, 6)).toEqual([
      'x86/pkeys: free of key 1, which is not allocated',
      'WARNING: CPU: 0 PID: 1 at pks_key_free',
      'CPU: 0 PID: 1 Comm: host',
      'Call Trace:',
      ' pks_key_free',
    ]);
    expect(twice('reference')).toContain(' careless_driver');
    expect(twice('rfc-v2')).toEqual([]);
  });

  it("of another's key is refused under reference, and takes it away under rfc-v2", () => {
    const steal = (revision: 'reference' | 'rfc-v2') => {
      const { kernel, keys } = withPks({ revision });
      kernel.call(() => keys.free(keys.alloc('owner'), 'thief'));
      return { log: reported(kernel), text: kernel.call(() => keys.showAllocated()) };
    };
    expect(steal('reference').log[1]).toBe(
      'x86/pkeys: free of key 1, which belongs to owner, not to thief',
    );
    expect(steal('reference').text).toBe('0: kernel\n1: owner\n');
    expect(steal('rfc-v2')).toEqual({ log: [], text: '0: kernel\n' });
  });

  it('of a kept key is refused under reference', () => {
    const { kernel, keys } = withPks();
    kernel.call(() => {
      const key = keys.alloc('for ever');
      keys.keep(key);
      keys.free(key, 'for ever');
    });
    expect(reported(kernel)[1]).toBe('x86/pkeys: free of key 1, which for ever never gives back');
    expect(kernel.call(() => keys.showAllocated())).toBe('0: kernel\n1: for ever\n');
  });
});

describe('pks_key_free and what is left of a key (D-33, I9)', () => {
  /** A second task leaves the key open; then the first gives it back. Copies that still have it open. */
  const leftOpen = (options: BootOptions): number => {
    const { kernel, keys, pkrs } = withPks({ cpus: 2, ...options });
    kernel.call(() => {
      const key = keys.alloc('x');
      kernel.spawn('careless', () => {
        pkrs.updateProtection(key, 0);
        kernel.sched.sleepUntil(pkrs.saved, 0, 1);
      });
    });
    kernel.run();
    kernel.call(() => keys.free(1));
    const copies = [pkrs.saved, pkrs.cache.column, kernel.machine.registers.pkrs];
    return copies.flatMap(({ values }) => [...values]).filter((value) => pkrPair(value, 1) !== 1)
      .length;
  };

  it('reference closes it in every task and on every CPU', () => {
    expect(leftOpen({})).toBe(0);
    expect(leftOpen({ revision: 'rfc-v2', repairs: ['D-33'] })).toBe(0);
  });

  it('as posted, and under free-closes-one-thread, who left it open has it when it is another’s', () => {
    expect(leftOpen({ revision: 'rfc-v2' })).toBeGreaterThan(0);
    expect(leftOpen({ sabotages: ['free-closes-one-thread'] })).toBeGreaterThan(0);
  });

  /** A task that has key 1 open sleeps in a fault; the key changes hands meanwhile. What the task has then. */
  const afterFault = (options: BootOptions): number => {
    const { kernel, keys, pkrs } = withPks(options);
    kernel.call(() => keys.alloc('first'));
    let faults = 0;
    kernel.spawn('sleeper', () => {
      pkrs.updateProtection(1, 0);
      kernel.machine.store32(RAM, 1);
    });
    kernel.spawn('owner', () => {
      keys.free(1, 'first');
      keys.alloc('second');
    });
    kernel.runner.attach({
      boundary(runner, kind, address) {
        if (kind !== Op.store32 || address !== RAM) return;
        if (faults++ === 0) runner.userPageFault(0x1000, true);
        else faults = pkrsOf(kernel);
      },
    });
    kernel.run();
    return pkrPair(faults, 1);
  };

  it('reference closes it in what an entry saved that slept over it', () => {
    expect(afterFault({})).toBe(1);
  });

  it('free-skips-entries brings it back open, though it is another’s', () => {
    expect(afterFault({ sabotages: ['free-skips-entries'] })).toBe(0);
  });

  it('is refused while a mapping carries it, and frees it as posted', () => {
    const free = (revision: 'reference' | 'rfc-v2') => {
      const { kernel, keys } = withPks({ revision });
      kernel.call(() => {
        const page = kernel.mm.vmalloc(8192, { key: keys.alloc('x'), writable: true });
        keys.free(1);
        kernel.mm.vfree(page, 8192);
      });
      const taken = keys.isAllocated(1);
      kernel.call(() => keys.free(1));
      return { taken, after: keys.isAllocated(1), log: reported(kernel)[1] };
    };
    expect(free('reference')).toEqual({
      taken: true,
      after: false,
      log: 'x86/pkeys: free of key 1, which a mapping still carries',
    });
    expect(free('rfc-v2')).toMatchObject({ taken: false, log: undefined });
  });
});
