// SPDX-License-Identifier: MIT
// The program's lines and statuses to the letter, and what it notices that RFC V2's does not.

import { type BootOptions, boot, type Kernel } from '@pkslab/kernel';
import { pksCore, pksTest, RUN_PKS } from '@pkslab/pks-core';
import { describe, expect, it } from 'vitest';
import { testPks, testPksV10 } from '../src/index.ts';

const booted = (options: BootOptions = {}): Kernel =>
  boot({ revision: 'v10', tasks: 16, ...options, modules: [pksCore, pksTest] });

describe('test_pks of v10', () => {
  it('runs everything but create_fault', () => {
    expect(testPksV10(booted())).toEqual({
      lines: [
        '[RUN]\tcheck_defaults',
        '[OK]',
        '[RUN]\tsingle',
        '[OK]',
        '[RUN]\tcontext_switch',
        '[OK]',
        '[RUN]\texception',
        '[OK]',
        '[RUN]\texception_update',
        '[OK]',
        '[RUN]\trun_all',
        '[SKIP] Test not supported',
      ],
      status: 0,
    });
  });

  it('has run_all with PKS_TEST_ALL_KEYS', () => {
    const kernel = booted({ config: { PKS_TEST_ALL_KEYS: true } });
    expect(testPksV10(kernel, ['run_all']).lines).toEqual(['[RUN]\trun_all', '[OK]']);
  });

  it('says what is no test, exit 1', () => {
    expect(testPksV10(booted(), ['sing'])).toEqual({
      lines: ['[RUN]\tsing', '[SKIP]\tInvalid test'],
      status: 1,
    });
  });

  it('ends killed after create_fault, and the file that it had open is closed', () => {
    const kernel = booted();
    expect(testPksV10(kernel, ['create_fault'])).toEqual({
      lines: ['[RUN]\tcreate_fault'],
      status: 137,
    });
    expect(testPksV10(kernel, ['-d', '-c', '0', 'single']).status).toBe(0);
  });

  it('prints its usage', () => {
    const { lines, status } = testPksV10(booted(), ['-h']);
    expect([lines[0], status]).toEqual(['Usage: test_pks [-h] [-d] [-c cpu] [test]', 0]);
  });

  it.each(['2', 'x', '-1'])('refuses the CPU "%s"', (cpu) => {
    expect(testPksV10(booted({ cpus: 2 }), ['-c', cpu])).toEqual({
      lines: ['test_pks: -c: there are CPUs 0 to 1'],
      status: 1,
    });
  });

  it('fails where there is no file, and the failure sticks', () => {
    const kernel = booted({ features: { pks: false } });
    expect(testPksV10(kernel, ['single', 'context_switch'])).toEqual({
      lines: ['[RUN]\tsingle', '[FAIL]', '[RUN]\tcontext_switch', '[FAIL]'],
      status: 1,
    });
  });

  it('forces the switch: a hook on the slow path only is found (D-08), with or without luck', () => {
    for (const schedHook of ['xtraOnly', 'switchEnd', 'beforeCurrent']) {
      const { lines } = testPksV10(booted({ with: { schedHook } }), ['context_switch']);
      expect(lines[1]).toBe(schedHook === 'xtraOnly' ? '[FAIL]' : '[OK]');
    }
  });
});

describe('test_pks of rfc-v3', () => {
  it('passes though the switch hook is on the slow path: "no access" is what it arms (D-09, D-61)', () => {
    const kernel = boot({ revision: 'rfc-v3', tasks: 16, modules: [pksCore, pksTest] });
    expect(kernel.choice('schedHook')).toBe('xtraOnly');
    for (const line of testPks(kernel)) expect(line).toMatch(/: PASS$/);
  });
});

describe('a result that says nothing (D-41)', () => {
  it.each([
    ['context_switch', 'switch-slow-path-only'],
    ['exception', 'state-by-value'],
  ])('%s is not one: under %s it fails', (test, sabotage) => {
    const { lines, status } = testPksV10(booted({ sabotages: [sabotage] }), [test]);
    expect([lines[1], status]).toEqual(['[FAIL]', 1]);
    expect(testPksV10(booted(), [test]).lines[1]).toBe('[OK]');
  });

  it('was what V8 made of every text: ten bytes compared with "PASS", and unequal taken for well', () => {
    const passedInV8 = (text: string): boolean => text.slice(0, 10) !== 'PASS';
    const defaultsWith = (pkrs: number): string => {
      const kernel = booted({ cpus: 2 });
      kernel.machine.registers.pkrs.poke(1, pkrs);
      return kernel.call(() => {
        const file = kernel.debugfs.open(RUN_PKS);
        file.write('0');
        file.seek(0);
        return file.read();
      });
    };
    const texts = [defaultsWith(0x5555_5554), defaultsWith(0)];
    expect(texts).toEqual(['PASS\n', 'FAIL\n']);
    expect(texts.map(passedInV8)).toEqual([true, true]);
  });
});
