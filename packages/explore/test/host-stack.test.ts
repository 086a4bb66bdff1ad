import { describe, expect, it } from 'vitest';
import { hostStack, kernelBacktrace, kernelFunctions } from '../src/host-stack.ts';

const STACK = `Error: stack
    at hostStack (file:///explore/dist/index.js:1:1)
    at Tries.operate (file:///explore/dist/index.js:2:1)
    at IntColumn.getWatched (file:///x86-cpu/dist/index.js:3:1)
    at get enabled [as enabled] (file:///kernel/dist/index.js:4:9)
    at Scheduler.#switchTo (file:///kernel/dist/index.js:5:9)
    at file:///anonymous.js:6:1
    at Entry.interrupt (file:///kernel/dist/index.js:7:9)
    at Tries.#run (file:///explore/dist/index.js:8:1)
    at main (file:///cli/dist/index.js:9:1)`;

describe('kernelFunctions', () => {
  it('leaves out the machine, whatever runs routines, and what stands under it', () => {
    expect(kernelFunctions(STACK)).toEqual([
      'enabled:4',
      'Scheduler.switchTo:5',
      'Entry.interrupt:7',
    ]);
  });

  it('gives as many as asked for, innermost first', () => {
    expect(kernelFunctions(STACK, 1)).toEqual(['enabled:4']);
  });

  it('gives none of a stack in another format', () => {
    expect(kernelFunctions('operate@file.js:1:1')).toEqual([]);
  });
});

describe('kernelBacktrace', () => {
  const symbols = { 'Entry.interrupt': 'common_interrupt', '#switchTo': '__switch_to' };

  it('gives C names, without the machinery above and what runs routines below', () => {
    expect(kernelBacktrace(STACK, symbols)).toEqual(['__switch_to', 'common_interrupt', 'main']);
    const run = STACK.replace('Tries.#run', 'Object.run');
    expect(kernelBacktrace(run, symbols)).toEqual(['__switch_to', 'common_interrupt']);
  });

  it('gives one C function once, where it hands its work to a strategy', () => {
    const stack = `Error: stack
    at hostStack (a.js:1:1)
    at Tries.operate (a.js:2:1)
    at Unconditional.write (a.js:3:1)
    at Pkrs.writePkrs (a.js:4:1)`;
    expect(kernelBacktrace(stack, { 'Unconditional.write': 'write_pkrs' })).toEqual(['write_pkrs']);
  });
});

describe('hostStack', () => {
  it('has as many frames as asked for, and leaves the host’s limit as it was', () => {
    const before = (Error as { stackTraceLimit?: number }).stackTraceLimit;
    expect(hostStack(2).trim().split('\n')).toHaveLength(3);
    expect((Error as { stackTraceLimit?: number }).stackTraceLimit).toBe(before);
  });
});
