// SPDX-License-Identifier: MIT
// Sabotages of the register's writes and of the keys, each shown by what it leaves.

import { boot } from '@pkslab/kernel';
import { Op } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { pksCore } from '../src/index.ts';

function booted(sabotages: readonly string[]) {
  const kernel = boot({ sabotages, modules: [pksCore] });
  return { kernel, ...kernel.module(pksCore) };
}

describe('a sabotage', () => {
  it('boot-cpu-open leaves every key open on the boot CPU', () => {
    expect(booted([]).kernel.machine.registers.pkrs.values[0]).toBe(0x5555_5554);
    expect(booted(['boot-cpu-open']).kernel.machine.registers.pkrs.values[0]).toBe(0);
  });

  it('write-compares-first writes no register where the cache says so already', () => {
    const stale = (sabotages: readonly string[]): number => {
      const { kernel, pkrs } = booted(sabotages);
      kernel.machine.registers.pkrs.values[0] = 0;
      kernel.call(() => pkrs.writePkrs(0x5555_5554));
      return kernel.machine.registers.pkrs.values[0] as number;
    };
    expect(stale([])).toBe(0x5555_5554);
    expect(stale(['write-compares-first'])).toBe(0);
  });

  it('exec-leaves-register gives the new program the old one’s register', () => {
    const afterExec = (sabotages: readonly string[]): number => {
      const { kernel, keys, pkrs } = booted(sabotages);
      const key = kernel.call(() => keys.alloc('mine'));
      kernel.call(() => {
        pkrs.changeRights(key, 0);
        kernel.exec('other');
      });
      return kernel.machine.registers.pkrs.values[0] as number;
    };
    expect(afterExec([])).toBe(0x5555_5554);
    expect(afterExec(['exec-leaves-register'])).toBe(0x5555_5550);
  });

  it('free-asks-nobody gives back a key that a page carries', () => {
    const keysAfter = (sabotages: readonly string[]): string => {
      const { kernel, keys } = booted(sabotages);
      const key = kernel.call(() => keys.alloc('mine'));
      kernel.call(() => kernel.mm.vmalloc(4096, { key, writable: true }));
      kernel.call(() => keys.free(key, 'mine'));
      return kernel.call(() => keys.showAllocated());
    };
    expect(keysAfter([])).toContain('1: mine');
    expect(keysAfter(['free-asks-nobody'])).not.toContain('mine');
  });

  it('update-preemptible has no count and no flag over the two writes', () => {
    const guarded = (sabotages: readonly string[]): boolean => {
      const { kernel, pkrs } = booted(sabotages);
      const { values } = kernel.machine.registers.interruptFlag;
      let held = true;
      kernel.runner.attach({
        boundary(_runner, kind) {
          if (kind === Op.wrmsr) held &&= values[0] === 0;
        },
      });
      kernel.call(() => pkrs.changeRights(1, 0));
      return held;
    };
    expect(guarded([])).toBe(true);
    expect(guarded(['update-preemptible'])).toBe(false);
  });

  it('free-not-atomic takes the bit back by a read and a write', () => {
    expect(booted([]).kernel.choice('clearBit')).toBe('locked');
    const { kernel } = booted(['free-not-atomic']);
    expect([kernel.choice('keyAlloc'), kernel.choice('clearBit')]).toEqual([
      'locklessBitmap',
      'plain',
    ]);
  });
});
