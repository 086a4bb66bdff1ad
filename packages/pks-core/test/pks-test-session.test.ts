// SPDX-License-Identifier: MIT
// The commands and strings of the rewritten programme, to the letter.

import {
  type BootOptions,
  boot,
  EINVAL,
  ENOENT,
  type Kernel,
  type KernelModule,
  noChoices,
  type RevisionName,
  TaskKilled,
} from '@pkslab/kernel';
import { IA32_PKRS } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { pksCore, pksTest, RUN_PKS } from '../src/index.ts';
import { reported } from './support.ts';

const booted = (options: BootOptions = {}): Kernel =>
  boot({ revision: 'v10', ...options, modules: [pksCore, pksTest] });

/** Ends a test whose callback lets an access through that is refused again and again. */
const impatient: KernelModule<null> = {
  name: 'impatient',
  ...noChoices,
  create({ slots }) {
    let faults = 0;
    slots.keyFault.push(() => {
      if (++faults > 100) throw new Error('refused for ever');
      return false;
    });
    return null;
  },
};

/** Writes each command to one open file; results of the writes, and what it reads then. */
function runPks(kernel: Kernel, ...commands: string[]): { wrote: number[]; text: string } {
  return kernel.call(() => {
    const file = kernel.debugfs.open(RUN_PKS);
    const wrote = commands.map((command) => file.write(command));
    const text = file.read();
    file.release();
    return { wrote, text };
  });
}

describe.each<RevisionName>(['v7', 'v10'])('run_pks of %s', (revision) => {
  it('passes its commands on the kernel as posted, and says nothing', () => {
    for (const command of ['0', '1', '4']) {
      const kernel = booted({ revision });
      expect(runPks(kernel, command)).toEqual({ wrote: [1], text: 'PASS\n' });
      expect(reported(kernel)).toEqual([]);
    }
    expect(runPks(booted({ revision }), '2', '3').text).toBe('PASS\n');
  });

  it('refuses what is no number and what is no test', () => {
    const kernel = booted({ revision });
    expect(runPks(kernel, 'x', '', '7', '8').wrote).toEqual([-EINVAL, -EINVAL, -ENOENT, -ENOENT]);
    expect(runPks(kernel, '1\n').text).toBe('PASS\n');
  });

  it('reads FAIL before any test, and has command 3 fail where nothing was armed', () => {
    expect(runPks(booted({ revision })).text).toBe('FAIL\n');
    expect(runPks(booted({ revision }), '3').text).toBe('FAIL\n');
  });

  it('9 arms, another test disarms, and 9 again ends the task; closing the file unlocks', () => {
    const kernel = booted({ revision });
    expect(runPks(kernel, '9', '1', '9').text).toBe('PASS\n');
    const file = kernel.call(() => kernel.debugfs.open(RUN_PKS));
    kernel.call(() => file.write('9'));
    expect(() => kernel.call(() => file.write('9'))).toThrow(TaskKilled);
    expect(reported(kernel).join('\n')).toContain('protection keys violation');
    kernel.call(() => file.release());
    expect(runPks(kernel, '1').text).toBe('PASS\n');
  });
});

describe('run_pks of v10', () => {
  it('5: pks_update_exception in the callback lasts for the thread', () => {
    expect(runPks(booted(), '5').text).toBe('PASS\n');
    const broken = boot({ revision: 'v10', modules: [impatient, pksCore, pksTest] });
    broken.module(pksCore).pkrs.updateException = () => {};
    expect(() => runPks(broken, '5')).toThrow('refused for ever');
  });

  it('6 is there with PKS_TEST_ALL_KEYS only', () => {
    expect(runPks(booted(), '6').wrote).toEqual([-ENOENT]);
    const kernel = booted({ config: { PKS_TEST_ALL_KEYS: true } });
    expect(runPks(kernel, '6')).toEqual({ wrote: [1], text: 'PASS\n' });
  });

  it('says which CPU has a wrong value', () => {
    const kernel = booted({ cpus: 2 });
    kernel.machine.registers.pkrs.poke(1, 0);
    expect(runPks(kernel, '0').text).toBe('FAIL\n');
    expect(reported(kernel)).toEqual(['cpu 1 value incorrect : 0x0 expected 0x55555554']);
  });

  it('says what the check of a context switch found', () => {
    const kernel = booted();
    expect(runPks(kernel, '2', '1', '3').text).toBe('FAIL\n');
    expect(reported(kernel)).toEqual(['Context switch check failed: pkey 1: 0x1 reg: 0x55555554']);
  });

  it('says which access went wrong, where rights are not what was asked for', () => {
    const kernel = booted();
    const { pkrs } = kernel.module(pksCore);
    const honest = pkrs.updateProtection.bind(pkrs);
    pkrs.updateProtection = (pkey, bits) => honest(pkey, bits === 0 ? 1 : 0);
    expect(runPks(kernel, '1').text).toBe('FAIL\n');
    expect(reported(kernel)).toEqual([
      'pkey test FAILED: mode No Access; write TRUE; fault TRUE != FALSE',
      'pkey test FAILED: mode No Access; write FALSE; fault TRUE != FALSE',
      'pkey test FAILED: mode Read Write; write TRUE; fault FALSE != TRUE',
      'pkey test FAILED: mode Read Write; write FALSE; fault FALSE != TRUE',
    ]);
  });

  it('4 notices a handler that starts with an open register', () => {
    const kernel = booted();
    kernel.slots.entrySave.push(() => kernel.machine.wrmsr(IA32_PKRS, 0));
    expect(runPks(kernel, '4').text).toBe('FAIL\n');
    expect(reported(kernel)).toContain('FAIL: PKRS cache and MSR');
  });

  it('4 notices a thread value that is lost', () => {
    const kernel = booted();
    kernel.slots.entrySave.push((state) => state.words.fill(0));
    expect(runPks(kernel, '4').text).toBe('FAIL\n');
    expect(reported(kernel)).toContain('FAIL: checking aux_pt_regs->thread_pkrs');
  });
});

describe('run_pks of v7: the test of abandoned keys', () => {
  it('opens the key for good, and sleeps with a spinlock held (D-45)', () => {
    const kernel = booted({ revision: 'v7' });
    expect(runPks(kernel, '5').text).toBe('PASS\n');
    expect(reported(kernel)[0]).toMatch(/^BUG: scheduling while atomic: host/);
    expect(runPks(kernel, '1').text).toBe('FAIL\n');
    expect(reported(kernel)).toContain(
      'pkey test FAILED: mode No Access; write TRUE; fault TRUE != FALSE',
    );
  });
});

describe('run_pks of rfc-v3', () => {
  it("has RFC V2's commands, and the exception test", () => {
    for (const command of ['0', '4']) {
      expect(runPks(booted({ revision: 'rfc-v3' }), command).text).toBe('PASS\n');
    }
  });

  it('crashes when 9 is written twice', () => {
    const kernel = booted({ revision: 'rfc-v3' });
    const file = kernel.call(() => kernel.debugfs.open(RUN_PKS));
    kernel.call(() => file.write('9'));
    expect(() => kernel.call(() => file.write('9'))).toThrow(TaskKilled);
    expect(reported(kernel).some((line) => line.startsWith('PKRS: 0x'))).toBe(true);
  });
});

describe('the rewritten programme on the reference', () => {
  it('passes with a key like any driver', () => {
    const kernel = booted({ revision: 'reference', with: { testProgramme: 'v10' } });
    for (const command of ['0', '1', '4', '5']) expect(runPks(kernel, command).text).toBe('PASS\n');
    expect(runPks(kernel, '2', '3').text).toBe('PASS\n');
    expect(reported(kernel)).toEqual([]);
  });
});
