import { describe, expect, it } from 'vitest';
import { MAX_DEPTH, Stacks } from '../src/stacks.ts';
import { Tries } from '../src/trie.ts';
import { smallKernel } from './support.ts';

function stacks() {
  const kernel = smallKernel();
  const task = kernel.spawn(
    'A',
    () => {},
    () => {},
  );
  const tries = new Tries(kernel);
  return { kernel, task, tries, stacks: new Stacks(kernel, tries) };
}

describe('Stacks', () => {
  it('keep the contexts of a task, innermost on top', () => {
    const { stacks: s, tries, task } = stacks();
    const low = tries.root(tries.routine('low', 'exception', () => 0));
    const high = tries.root(tries.routine('high', 'exception', () => 0));
    s.grow(task);
    s.setTop(task, low);
    s.grow(task);
    s.setTop(task, high);
    expect([s.at(task, 0), s.top(task)]).toEqual([low, high]);
    s.shrink(task);
    expect(s.top(task)).toBe(low);
  });

  it('leave nothing of an ended context behind, so that states are the same again', () => {
    const { stacks: s, tries, task } = stacks();
    tries.root(tries.routine('first', 'exception', () => 0));
    const before = [...s.depth.values];
    s.grow(task);
    s.setTop(task, tries.root(tries.routine('second', 'exception', () => 0)));
    s.shrink(task);
    expect([...s.depth.values]).toEqual(before);
    s.grow(task);
    expect(s.top(task).id).toBe(0);
  });

  it('run a task from ret_from_fork over its calls to do_exit', () => {
    const { stacks: s, task } = stacks();
    const keys = [s.nextRoutine(task, false).key];
    for (let i = 0; i < 3; i++) keys.push(s.nextRoutine(task, true).key);
    expect(keys).toEqual(['start:1', 'A:0:1', 'A:1:1', 'A:exit:1']);
  });

  it('run the idle loop of a CPU for ever', () => {
    const { stacks: s } = stacks();
    expect(s.nextRoutine(0, true)).toBe(s.nextRoutine(0, true));
  });

  it('forget the contexts and calls of a dead task', () => {
    const { stacks: s, task } = stacks();
    s.nextRoutine(task, true);
    s.grow(task);
    s.grow(task);
    s.drop(task);
    expect([s.depth.values[task], s.hasBegun(task)]).toEqual([0, false]);
  });

  it('have room for every context of one stack', () => {
    const { stacks: s, task, tries } = stacks();
    const node = tries.root(tries.routine('entry', 'exception', () => 0));
    for (let i = 0; i < MAX_DEPTH; i++) {
      s.grow(task);
      s.setTop(task, node);
    }
    expect(s.depth.values[task]).toBe(MAX_DEPTH);
    expect(s.depth.values[task + 1]).toBe(0);
  });
});
