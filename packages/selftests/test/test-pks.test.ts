// SPDX-License-Identifier: MIT
import { type BootOptions, boot, type Kernel } from '@pkslab/kernel';
import { pksCore, pksTest } from '@pkslab/pks-core';
import { describe, expect, it } from 'vitest';
import { testPks } from '../src/index.ts';
import { SleepTimer } from '../src/sleep.ts';

const PASS = '#PF, context switch, pkey allocation and free tests: PASS';
const FAIL = '#PF, context switch, pkey allocation and free tests: FAIL';

function booted(options: BootOptions = {}): Kernel {
  return boot({ ...options, modules: [pksCore, pksTest] });
}

describe('test_pks', () => {
  it.each([1, 2])('prints its line twice, the partner first, on %i CPU(s)', (cpus) => {
    expect(testPks(booted({ cpus }))).toEqual([PASS, PASS]);
  });

  it('says that it cannot open the file where there is none', () => {
    const lines = testPks(booted({ features: { pks: false } }));
    expect(lines).toEqual(['cannot open file', 'cannot open file']);
  });

  it('gives its keys back', () => {
    const kernel = booted();
    testPks(kernel);
    expect(kernel.call(() => kernel.debugfs.read('x86/pks_keys_allocated'))).toBe('0: kernel\n');
  });

  it('fails in its child in RFC V2, whose switch hook is on the slow path (D-08)', () => {
    const kernel = booted({ revision: 'rfc-v2' });
    expect(testPks(kernel)).toEqual([PASS, FAIL]);
    expect(kernel.dmesg).toContain('Context switch check failed');
  });

  it('passes in RFC V2 where a TIF flag happens to be set, and so did not find D-08', () => {
    expect(testPks(booted({ revision: 'rfc-v2' }), { workFlag: true })).toEqual([PASS, PASS]);
  });

  it('has nothing to check where the partner comes late (D-09)', () => {
    const broken = { sabotages: ['switch-writes-nothing'] };
    expect(testPks(booted(broken))).toEqual([PASS, FAIL]);
    expect(testPks(booted(broken), { partnerSleeps: 6 })).toEqual([PASS, PASS]);
  });
});

describe('sleep', () => {
  it('ends in the order of the deadlines, however the sleeps add up', () => {
    const kernel = booted();
    const timer = new SleepTimer(kernel);
    const order: string[] = [];
    const sleeper = (name: string, ...seconds: number[]): void => {
      kernel.spawnCode({
        name,
        calls: seconds.flatMap((each) => [
          () => timer.sleep(each),
          () => void order.push(`${name}${each}`),
        ]),
      });
    };
    sleeper('a', 3, 3);
    sleeper('b', 1, 1, 3);
    timer.run();
    expect(order).toEqual(['b1', 'b1', 'a3', 'b3', 'a3']);
  });
});
