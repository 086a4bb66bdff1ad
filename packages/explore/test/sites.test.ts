// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { explore } from '../src/index.ts';
import { kernelBacktrace } from '../src/sites.ts';
import { cell, protocol, systemOf } from './support.ts';

describe('a site', () => {
  it('says context, function and operation; a second place that does the same has a number', () => {
    const scenario = protocol({
      code(kernel) {
        const x = cell(kernel, 'x');
        const readTwice = (): void => {
          x.get(0);
          x.get(0);
        };
        return { tasks: [[readTwice]] };
      },
    });
    const system = systemOf(scenario);
    const { tries } = system;
    const names: string[] = [];
    // The second place first: numbers go by where a place stands.
    const first = system.nodeOf(0);
    const second = tries.next(first, 0, 0);
    for (const node of [second, first]) tries.siteOf(node);
    for (const node of [first, second]) names.push(tries.sites.nameOf(tries.siteOf(node)));
    expect(names).toEqual(['A read_twice: get test.x', 'A read_twice: get test.x (2)']);
  });

  it('is one for a loop, however often it is passed', () => {
    const scenario = protocol({
      budget: { irq: 1 },
      code(kernel) {
        const x = cell(kernel, 'x');
        const loop = (): void => {
          for (let i = 0; i < 5; i++) x.get(0);
        };
        kernel.entry.requestIrq(0x20, () => void x.add(0, 1));
        return { tasks: [[loop]] };
      },
    });
    const { undelivered } = explore(scenario);
    expect(undelivered).toEqual([]);
  });
});

describe('kernelBacktrace', () => {
  const FRAMES = [
    '    at Tries.operate (file:///explore/dist/index.js:2:1)',
    '    at IntColumn.getWatched (file:///x86-cpu/dist/index.js:3:1)',
    '    at Scheduler.#switchTo (file:///kernel/dist/index.js:5:9)',
    '    at file:///anonymous.js:6:1',
    '    at Entry.interrupt (file:///kernel/dist/index.js:7:9)',
    '    at Object.run (file:///explore/dist/index.js:8:1)',
    '    at main (file:///cli/dist/index.js:9:1)',
  ];
  const symbols = { 'Entry.interrupt': 'common_interrupt', '#switchTo': '__switch_to' };

  it('gives C names, without the machinery above and what runs routines below', () => {
    expect(kernelBacktrace(FRAMES, symbols)).toEqual(['__switch_to', 'common_interrupt']);
  });

  it('gives one C function once, where it hands its work to a strategy', () => {
    const frames = ['    at Unconditional.write (a.js:3:1)', '    at Pkrs.writePkrs (a.js:4:1)'];
    expect(kernelBacktrace(frames, { 'Unconditional.write': 'write_pkrs' })).toEqual([
      'write_pkrs',
    ]);
  });

  it('gives none of a stack in another format', () => {
    expect(kernelBacktrace(['operate@file.js:1:1'], symbols)).toEqual([]);
  });
});
