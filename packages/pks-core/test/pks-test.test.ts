// SPDX-License-Identifier: MIT
// The strings and rules of [PATCH 08/17], to the letter.

import { type BootOptions, boot, EFAULT, ENOMEM, type Kernel, VMALLOC_START } from '@pkslab/kernel';
import { KIND_MASK, Op } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import {
  faultCountField,
  pksCore,
  pksTest,
  pksTestChoices,
  RUN_PKS,
  testArmedKeyField,
  testCpuEnabledField,
} from '../src/index.ts';
import { readPkrs, reported } from './support.ts';

const KEYS = 'x86/pks_keys_allocated';
const NO_CONTEXT = 'Failed to allocate memory for test context';

function booted(options: BootOptions = {}): Kernel {
  return boot({ ...options, modules: [pksCore, pksTest] });
}

/** Writes each command to one open file; what it reads then, from the start. */
function runPks(kernel: Kernel, ...commands: string[]): string {
  return kernel.call(() => {
    const file = kernel.debugfs.open(RUN_PKS);
    for (const command of commands) file.write(command);
    const text = file.read();
    file.release();
    return text;
  });
}

/** The lines between the registers and the end of a run. */
function testLines(kernel: Kernel): readonly string[] {
  return reported(kernel).filter((line) => !line.startsWith('for CPU') && !line.startsWith('   '));
}

describe('run_pks', () => {
  it('is there only where the CPU has PKS, with mode 0600', () => {
    const kernel = booted();
    expect(kernel.debugfs.list()).toEqual([KEYS, RUN_PKS]);
    expect(kernel.debugfs.mode(RUN_PKS)).toBe(0o600);
    expect(booted({ features: { pks: false } }).debugfs.exists(RUN_PKS)).toBe(false);
  });

  it('reads "not run" before any command, and nothing at its end', () => {
    const kernel = booted();
    kernel.call(() => {
      const file = kernel.debugfs.open(RUN_PKS);
      expect(file.read()).toBe('not run\n');
      expect(file.read()).toBe('');
      file.seek(0);
      expect([file.read(4), file.read(10)]).toEqual(['not ', 'run\n']);
      file.release();
    });
  });

  it('reads PASS after 0, and still after arming and checking in the same task', () => {
    expect(runPks(booted(), '0')).toBe('PASS\n');
    expect(runPks(booted(), '0', '1', '2')).toBe('PASS\n');
  });

  it('reads FAIL where 0 was never written, whatever else was: a context starts as not passed', () => {
    for (const command of ['1', '2', '3', 'x', '']) {
      expect(runPks(booted(), command)).toBe('FAIL\n');
    }
  });

  it('looks at the first byte only, and returns the whole count', () => {
    const kernel = booted();
    kernel.call(() => {
      const file = kernel.debugfs.open(RUN_PKS);
      expect(file.write('0 1 2 3\n')).toBe(8);
      expect(file.read()).toBe('PASS\n');
      file.release();
    });
  });

  it('arms the key of the file for the calling thread, and checks that it stays', () => {
    const kernel = booted();
    kernel.call(() => {
      const file = kernel.debugfs.open(RUN_PKS);
      file.write('1');
      expect(readPkrs(kernel)).toBe(0x5555_555c);
      file.write('0');
      file.write('1');
      kernel.module(pksCore).pkrs.updateProtection(1, 1);
      file.write('2');
      expect(file.read()).toBe('FAIL\n');
      file.release();
    });
    expect(kernel.dmesg).toContain('Context switch check failed');
  });

  it('gives each open file a key of its own, and takes it back at the last close', () => {
    const kernel = booted();
    kernel.call(() => {
      const first = kernel.debugfs.open(RUN_PKS);
      const second = kernel.debugfs.open(RUN_PKS);
      for (const file of [first, second]) file.write('x');
      expect(kernel.debugfs.read(KEYS)).toBe('0: kernel\n1: pks test\n2: pks test\n');
      first.release();
      expect(kernel.debugfs.read(KEYS)).toBe('0: kernel\n2: pks test\n');
      second.release();
      expect(kernel.debugfs.read(KEYS)).toBe('0: kernel\n');
    });
  });

  it('leaves the tester with the key readable until the file is closed', () => {
    const kernel = booted();
    kernel.call(() => {
      const file = kernel.debugfs.open(RUN_PKS);
      file.write('0');
      expect(readPkrs(kernel)).toBe(0x5555_5558);
      file.release();
      expect(readPkrs(kernel)).toBe(0x5555_5554);
    });
  });

  it('answers -EFAULT for a bad buffer, and -ENOMEM where there is no key or no memory', () => {
    const kernel = booted();
    const { keys } = kernel.module(pksCore);
    kernel.call(() => {
      const file = kernel.debugfs.open(RUN_PKS);
      expect(file.write({ address: 0x5000, length: 1 })).toBe(-EFAULT);
      expect(file.read()).toBe('not run\n');
      for (let i = 0; i < 15; i++) keys.alloc('hog');
      expect(file.write('0')).toBe(-ENOMEM);
    });
    expect(reported(kernel)).toEqual([
      'x86/pkeys: Cannot allocate supervisor key for pks test.',
      NO_CONTEXT,
    ]);
    const small = booted({ memory: 4 * 2 ** 20 });
    small.call(() => {
      while (small.mm.tryAllocPage() >= 0);
      expect(small.debugfs.write(RUN_PKS, '0')).toBe(-ENOMEM);
    });
    expect(reported(small)).toEqual([NO_CONTEXT]);
  });
});

describe('the log of a run', () => {
  it('is this, line by line', () => {
    const kernel = booted({ cpus: 2 });
    runPks(kernel, '0');
    const registers = (cpu: number): string[] => [
      `for CPU ${cpu} : 0x55555554`,
      '   0: A:0 W:0',
      ...Array.from({ length: 15 }, (_, i) => `   ${i + 1}: A:1 W:0`),
    ];
    expect(reported(kernel)).toEqual([
      '     ***** BEGIN: Testing (CPU enabled : TRUE) *****',
      ...registers(0),
      ...registers(1),
      '           BEGIN: pkey 1 Testing',
      'page 0xffffc90000000000; flags 0x8800000000000163',
      'ptep flags 0x8800000000000163 pkey 1',
      '           END: PAGE_KERNEL_PKEY Testing : PASS',
      '     ***** END: Testing *****',
    ]);
  });

  it('shows a disabled write as W:2', () => {
    const kernel = booted();
    runPks(kernel, '0', '0');
    expect(kernel.dmesg).toContain('for CPU 0 : 0x55555558');
    expect(kernel.dmesg).toContain('   1: A:0 W:2');
  });

  it('names a row that went wrong: RFC V2 with an interrupt before the first access', () => {
    const kernel = booted({ revision: 'rfc-v2' });
    let copies = 0;
    kernel.runner.attach({
      boundary(runner, kind) {
        if ((kind & KIND_MASK) === Op.copy && ++copies === 1) runner.interrupt(0x20);
      },
    });
    expect(runPks(kernel, '0')).toBe('FAIL\n');
    expect(testLines(kernel)).toContain(
      'pkey test FAILED: ad 1; wd 1; write TRUE; exception TRUE != FALSE',
    );
    expect(kernel.dmesg).toContain('           END: PAGE_KERNEL_PKEY Testing : FAIL');
  });

  it('says that a page could not be had, or its mapping not be found', () => {
    const kernel = booted({ memory: 4 * 2 ** 20 });
    kernel.call(() => {
      const file = kernel.debugfs.open(RUN_PKS);
      file.write('x');
      while (kernel.mm.tryAllocPage() >= 0);
      file.write('0');
      expect(file.read()).toBe('FAIL\n');
    });
    expect(testLines(kernel)).toContain('Failed to vmalloc page???');
    const unmapped = booted();
    Object.defineProperty(unmapped.mm, 'tryVmalloc', { value: () => VMALLOC_START });
    expect(runPks(unmapped, '0')).toBe('FAIL\n');
    expect(testLines(unmapped)).toContain('Failed to walk table???');
  });

  it('says that a mapping has another key', () => {
    const kernel = booted();
    const { mm } = kernel;
    const page = kernel.call(() => mm.vmalloc(4096, { key: 9, writable: true }));
    Object.defineProperty(mm, 'tryVmalloc', { value: () => page });
    expect(runPks(kernel, '0')).toBe('FAIL\n');
    expect(testLines(kernel)).toContain('invalid pkey found: 9, test_pkey: 1');
  });

  it('says that accesses are not tested where the context has no CPU support, and passes', () => {
    const kernel = booted();
    kernel.call(() => {
      const file = kernel.debugfs.open(RUN_PKS);
      file.write('x');
      kernel.machine.column(testCpuEnabledField).poke(0, 0);
      file.write('0');
      expect(file.read()).toBe('PASS\n');
      file.release();
    });
    expect(testLines(kernel)).toContain('not CPU enabled; skipping access tests...');
    expect(kernel.dmesg).toContain('     ***** BEGIN: Testing (CPU enabled : FALSE) *****');
  });
});

describe('run_all', () => {
  const begins = (kernel: Kernel): readonly string[] =>
    kernel.dmesg.filter((line) => line.startsWith('           BEGIN'));
  const allKeys = Array.from({ length: 15 }, (_, i) => `           BEGIN: pkey ${i + 1} Testing`);

  it.each(['reference', 'rfc-v2'] as const)('tests 15 keys of a clean system in %s', (revision) => {
    const kernel = booted({ revision });
    runPks(kernel, '3');
    expect(begins(kernel)).toEqual(allKeys);
    expect(kernel.dmesg.filter((line) => line.endsWith('Testing : PASS')).length).toBe(15);
    expect(kernel.call(() => kernel.debugfs.read(KEYS))).toBe('0: kernel\n');
  });

  it('tests 14 where one is taken, and says for which context there was none', () => {
    const kernel = booted();
    kernel.call(() => kernel.module(pksCore).keys.alloc('Device Memory'));
    runPks(kernel, '3');
    expect(begins(kernel)).toEqual(allKeys.slice(1));
    expect(kernel.dmesg).toContain('x86/pkeys: Cannot allocate supervisor key for pks ctx 15.');
    expect(kernel.dmesg).toContain(NO_CONTEXT);
  });

  it('names its contexts by number', () => {
    const kernel = booted();
    // Nothing is given back, so the names can be looked at afterwards.
    Object.defineProperty(kernel.module(pksCore).keys, 'free', { value: () => {} });
    runPks(kernel, '3');
    expect(kernel.debugfs.read(KEYS).split('\n').slice(1, 3)).toEqual([
      '1: pks ctx 1',
      '2: pks ctx 2',
    ]);
  });

  it('runs at boot where pks-test-on-boot is given, with and without PKS', () => {
    expect(begins(booted())).toEqual([]);
    const onBoot = { with: { 'pks-test-on-boot': 'yes' } };
    expect(begins(booted(onBoot))).toEqual(allKeys);
    const without = booted({ ...onBoot, revision: 'rfc-v2', features: { pks: false } });
    expect(reported(without)).toEqual(Array.from({ length: 15 }, () => NO_CONTEXT));
  });
});

describe('pks_test_armed_and_clear', () => {
  /** Arms a key from outside and accesses a page of another one. */
  function strayWhileArmed(revision: 'reference' | 'rfc-v2'): boolean {
    const kernel = booted({ revision });
    const { keys } = kernel.module(pksCore);
    return kernel.call(() => {
      const armed = keys.alloc('armed');
      const other = keys.alloc('other');
      const page = kernel.mm.vmalloc(4096, {
        key: revision === 'rfc-v2' ? other : armed,
        writable: true,
      });
      kernel.machine.column(testArmedKeyField).set(0, armed);
      return kernel.machine.tryStore32(page, 1);
    });
  }

  it('looks neither at the key of the page nor at who faulted: RFC V2 lets any key fault through', () => {
    expect(strayWhileArmed('rfc-v2')).toBe(false);
  });

  it('opens the armed key for the context that faulted in the reference', () => {
    expect(strayWhileArmed('reference')).toBe(false);
  });

  it('counts three expected faults in a run', () => {
    const kernel = booted();
    runPks(kernel, '0');
    expect(kernel.machine.column(faultCountField).values[0]).toBe(3);
  });

  it('does nothing while no key is armed', () => {
    const kernel = booted();
    const refused = kernel.call(() => {
      const key = kernel.module(pksCore).keys.alloc('x');
      const page = kernel.mm.vmalloc(4096, { key, writable: true });
      return kernel.machine.tryStore32(page, 1);
    });
    expect(refused).toBe(true);
  });

  it('would be asked for ever if it opened its own key where exceptions keep their state', () => {
    const kernel = booted({ with: { testHandler: 'thread' } });
    let asked = 0;
    kernel.slots.keyFault.unshift(() => {
      if (++asked > 100) throw new Error('no progress');
      return false;
    });
    expect(() => runPks(kernel, '0')).toThrow('no progress');
  });
});

describe('a test that is preempted', () => {
  it('has its effects once, though its code runs again from its record', () => {
    const kernel = booted();
    let results = '';
    kernel.spawn('tester', () => {
      const file = kernel.debugfs.open(RUN_PKS);
      file.write('0');
      kernel.sched.schedule();
      file.write('2');
      results = file.read();
      file.release();
    });
    kernel.spawn('other', () => kernel.debugfs.write(RUN_PKS, '0'));
    kernel.run();
    expect(results).toBe('FAIL\n');
    expect(kernel.dmesg.filter((line) => line.includes('BEGIN: pkey')).length).toBe(2);
    expect(kernel.call(() => kernel.debugfs.read(KEYS))).toBe('0: kernel\n');
  });
});

describe('the choices', () => {
  it('have a listed value in every revision, and repairs give what reference has', () => {
    const { revisions, values, repairs } = pksTestChoices;
    for (const choices of [...Object.values(revisions), ...Object.values(repairs)]) {
      for (const [name, value] of Object.entries(choices)) expect(values[name]).toContain(value);
    }
    for (const repair of Object.values(repairs)) expect(revisions.reference).toMatchObject(repair);
  });
});
