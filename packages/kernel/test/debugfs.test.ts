// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { boot, EBADF, EFAULT, ENFILE, ENOENT, KernelError } from '../src/index.ts';
import { RAM, WILD } from './support.ts';

function errnoOf(fn: () => unknown): number | undefined {
  try {
    fn();
  } catch (error) {
    return error instanceof KernelError ? error.errno : undefined;
  }
  return undefined;
}

describe('debugfs', () => {
  it('reads and writes through the operations of a file, and has its mode', () => {
    const { debugfs } = boot();
    let written = '';
    debugfs.createFile('x86/run', {
      mode: 0o600,
      read: () => 'text\n',
      write: (data) => {
        written = data;
        return data.length;
      },
    });
    expect(debugfs.read('x86/run')).toBe('text\n');
    expect(debugfs.write('x86/run', 'abc')).toBe(3);
    expect(written).toBe('abc');
    expect(debugfs.mode('x86/run')).toBe(0o600);
  });

  it('lists its files in order', () => {
    const { debugfs } = boot();
    debugfs.createFile('b', { mode: 0o400 });
    debugfs.createFile('a', { mode: 0o400 });
    expect(debugfs.list()).toEqual(['a', 'b']);
  });

  it('refuses what is not there with ENOENT and says what is', () => {
    const { debugfs } = boot();
    debugfs.createFile('a', { mode: 0o400 });
    expect(errnoOf(() => debugfs.read('x'))).toBe(ENOENT);
    expect(() => debugfs.mode('x')).toThrow('debugfs x: no such file; there is a');
  });

  it('refuses what a file cannot do with EBADF', () => {
    const { debugfs } = boot();
    debugfs.createFile('a', { mode: 0o400 });
    expect(errnoOf(() => debugfs.read('a'))).toBe(EBADF);
    expect(errnoOf(() => debugfs.write('a', ''))).toBe(EBADF);
  });

  it('an open file has its own position; another starts at the beginning', () => {
    const { debugfs } = boot();
    debugfs.createFile('a', { mode: 0o400, read: () => 'text\n' });
    const file = debugfs.open('a');
    expect([file.read(2), file.read(), file.read()]).toEqual(['te', 'xt\n', '']);
    file.seek(1);
    expect(file.read()).toBe('ext\n');
    expect(debugfs.open('a').read()).toBe('text\n');
    expect(debugfs.read('a')).toBe('text\n');
  });

  it('calls release with the number of the open file, and gives the number out again', () => {
    const { debugfs } = boot();
    const released: number[] = [];
    debugfs.createFile('a', { mode: 0o400, release: (file) => released.push(file) });
    const first = debugfs.open('a');
    const second = debugfs.open('a');
    first.release();
    expect(released).toEqual([first.number]);
    expect(debugfs.open('a').number).toBe(first.number);
    expect(second.number).not.toBe(first.number);
  });

  it('has 64 open files at most', () => {
    const { debugfs } = boot();
    debugfs.createFile('a', { mode: 0o400 });
    for (let i = 0; i < 64; i++) debugfs.open('a');
    expect(errnoOf(() => debugfs.open('a'))).toBe(ENFILE);
  });

  it('copies what a program writes from its memory, and returns -EFAULT where that is not its own', () => {
    const kernel = boot();
    let written = '';
    kernel.debugfs.createFile('a', {
      mode: 0o200,
      write: (data) => {
        written = data;
        return data.length;
      },
    });
    kernel.call(() => {
      kernel.machine.store32(RAM, 0x0063_6261);
      const file = kernel.debugfs.open('a');
      expect(file.write({ address: RAM, length: 3 })).toBe(3);
      expect(file.write({ address: WILD, length: 3 })).toBe(-EFAULT);
    });
    expect(written).toBe('abc');
  });
});
