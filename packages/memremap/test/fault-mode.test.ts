// SPDX-License-Identifier: MIT
import { type BootOptions, EINVAL, TaskKilled } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { PKS_FAULT_MODE_FILE } from '../src/index.ts';
import { attach, refused, reported, type Stack, withDevice } from './support.ts';

const WARNING = 'Page map protection being disabled';

function stray(stack: Stack): readonly string[] {
  const { address } = attach(stack);
  stack.kernel.call(() => stack.kernel.machine.store32(address, 1));
  return reported(stack.kernel).filter((line) => line === WARNING);
}

const write = ({ kernel }: Stack, text: string): number =>
  kernel.call(() => kernel.debugfs.write(PKS_FAULT_MODE_FILE, text));
const read = ({ kernel }: Stack): string =>
  kernel.call(() => kernel.debugfs.read(PKS_FAULT_MODE_FILE));

describe('a stray access', () => {
  it.each(['rfc-v2', 'rfc-v3', 'reference'] as const)('is an oops under %s', (revision) => {
    const stack = withDevice({ revision });
    expect(() => stray(stack)).toThrow(TaskKilled);
    expect(stack.kernel.debugfs.exists(PKS_FAULT_MODE_FILE)).toBe(false);
  });

  it.each(['v7', 'v10'] as const)('goes through under %s, and is reported once', (revision) => {
    const stack = withDevice({ revision });
    expect(stray(stack)).toEqual([WARNING]);
    const { address } = stack.kernel.call(() =>
      stack.pagemaps.memremapPages({
        physical: 0x1_0000_0000 + 2 ** 29 - 2 ** 27,
        size: 4096,
        type: 2,
        flags: 2,
      }),
    );
    stack.kernel.call(() => stack.kernel.machine.store32(address, 1));
    expect(reported(stack.kernel).filter((line) => line === WARNING)).toEqual([WARNING]);
  });

  it.each(['v7', 'v10'] as const)('is an oops under %s in strict mode', (revision) => {
    expect(() => stray(withDevice({ revision, with: { faultMode: 'strict' } }))).toThrow(
      TaskKilled,
    );
  });

  /** Whether a task that comes after the fault has access too. */
  const openToOthers = (options: BootOptions): boolean => {
    const stack = withDevice(options);
    const { kernel } = stack;
    const { address } = attach(stack);
    const seen = kernel.machine.column({ name: 'seen', type: 'u32', initial: 0, per: 'global' });
    kernel.call(() => {
      kernel.spawn('stray', () => kernel.machine.store32(address, 1));
      kernel.spawn('other', () => {
        // As a switch is what brings an abandoned key to a thread.
        kernel.sched.schedule();
        seen.set(0, kernel.machine.registers.pkrs.get(0));
      });
    });
    kernel.run();
    return ((seen.values[0] as number) & 0b1100) === 0;
  };

  it('opens the key for its own thread in v10, for everybody and for ever in v7 (D-45)', () => {
    expect(openToOthers({ revision: 'v10' })).toBe(false);
    expect(openToOthers({ revision: 'v7' })).toBe(true);
    expect(openToOthers({ revision: 'v7', with: { faultRelief: 'updateException' } })).toBe(false);
  });
});

describe('memremap.pks_fault_mode', () => {
  it('is relaxed at boot, 0644, and can be changed while the system runs', () => {
    const stack = withDevice({ revision: 'v10' });
    expect(stack.kernel.debugfs.mode(PKS_FAULT_MODE_FILE)).toBe(0o644);
    expect(read(stack)).toBe('relaxed\n');
    const { address } = attach(stack);
    expect(write(stack, 'strict\n')).toBe(7);
    expect(read(stack)).toBe('strict\n');
    expect(refused(stack, address)).toBe(true);
    expect(write(stack, 'relaxed')).toBe(7);
    expect(refused(stack, address)).toBe(false);
  });

  it('refuses anything else', () => {
    const stack = withDevice({ revision: 'v10' });
    expect(write(stack, 'lenient')).toBe(-EINVAL);
    expect(read(stack)).toBe('relaxed\n');
  });

  it('is parsed the wrong way round in v7 (D-46)', () => {
    const after = (options: BootOptions, text: string): string => {
      const stack = withDevice(options);
      write(stack, text);
      return read(stack);
    };
    const v7: BootOptions = { revision: 'v7' };
    expect(after(v7, 'relaxed')).toBe('strict\n');
    expect(after({ ...v7, with: { faultMode: 'strict' } }, 'strict')).toBe('relaxed\n');
    expect(after({ ...v7, with: { faultMode: 'strict' } }, 'nonsense')).toBe('relaxed\n');
    expect(after({ ...v7, repairs: ['D-46'] }, 'relaxed')).toBe('relaxed\n');
  });
});
