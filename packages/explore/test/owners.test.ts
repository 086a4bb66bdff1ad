import { describe, expect, it } from 'vitest';
import { Owners } from '../src/owners.ts';
import { cell, smallKernel } from './support.ts';

function fresh() {
  const kernel = smallKernel(2);
  const x = cell(kernel, 'x');
  const owners = new Owners(kernel.machine);
  const note = (cpu: number, task: number, writes: boolean): boolean => {
    owners.broken = false;
    owners.note(x, 0, cpu, task, writes);
    return owners.broken;
  };
  const isLocal = (cpu: number, task: number, writes: boolean): boolean =>
    owners.isLocal(x, 0, cpu, task, writes);
  return { note, isLocal };
}

describe('a cell', () => {
  it('is local to the CPU that alone touches it, whatever task runs there', () => {
    const { note, isLocal } = fresh();
    expect([note(0, 4, true), note(0, 5, true), note(0, 6, false)]).toEqual([false, false, false]);
    expect([isLocal(0, 7, true), isLocal(1, 7, false)]).toEqual([true, false]);
  });

  it('is local to the task that alone touches it, wherever it runs', () => {
    const { note, isLocal } = fresh();
    expect([note(0, 4, true), note(1, 4, true)]).toEqual([false, false]);
    expect([isLocal(0, 4, true), isLocal(0, 5, false)]).toEqual([true, false]);
  });

  it('may be read by everybody as long as nobody writes', () => {
    const { note, isLocal } = fresh();
    expect([note(0, 4, false), note(1, 5, false)]).toEqual([false, false]);
    expect([isLocal(0, 6, false), isLocal(0, 6, true)]).toEqual([true, false]);
  });

  it('breaks what was relied on when it is shared after all', () => {
    const read = fresh();
    read.note(0, 4, false);
    expect(read.note(1, 5, true)).toBe(true);
    expect(read.isLocal(0, 4, false)).toBe(false);
    const written = fresh();
    written.note(0, 4, true);
    expect(written.note(1, 5, false)).toBe(true);
    const both = fresh();
    both.note(0, 4, true);
    both.note(1, 4, true);
    expect(both.note(0, 5, true)).toBe(true);
    const oneWriter = fresh();
    oneWriter.note(0, 4, true);
    oneWriter.note(1, 5, false);
    expect(oneWriter.note(1, 4, true)).toBe(true);
  });
});
