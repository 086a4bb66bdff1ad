// SPDX-License-Identifier: MIT
// kmap of the later postings.

import {
  type BootOptions,
  EOPNOTSUPP,
  KernelError,
  PAGE_OFFSET,
  type Runner,
} from '@pkslab/kernel';
import type { FieldDefinition } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { atEveryBoundary } from '../../../scripts/testing/boundaries.ts';
import { PFN, RAM_PFN, reported, type Stack, withDevice } from './support.ts';

const ADDRESS = PAGE_OFFSET + PFN * 4096;
const refusedHere = ({ kernel }: Stack): boolean =>
  kernel.call(() => kernel.machine.tryStore32(ADDRESS, 1));

const seenField: FieldDefinition = { name: 'seen', type: 'u32', initial: 0, per: 'global' };

/** Whether a store by a new task is refused. */
function refusedToAnother({ kernel }: Stack): boolean {
  const seen = kernel.machine.column(seenField);
  kernel.call(() =>
    kernel.spawn('other', () => seen.set(0, kernel.machine.tryStore32(ADDRESS, 1) ? 1 : 2)),
  );
  kernel.run();
  return seen.values[0] === 1;
}

describe('rfc-v3', () => {
  // D-08 would hide what the switch does with global rights, and a child that inherits what a task opened.
  const V3: BootOptions = { revision: 'rfc-v3', repairs: ['D-08', 'fork-inherits'] };

  it('kmap opens the page to every task, and kunmap closes it for all', () => {
    const stack = withDevice(V3);
    stack.kernel.call(() => stack.kmap.kmap(PFN));
    expect([refusedHere(stack), refusedToAnother(stack)]).toEqual([false, false]);
    stack.kernel.call(() => stack.kmap.kunmap(PFN));
    expect([refusedHere(stack), refusedToAnother(stack)]).toEqual([true, true]);
  });

  it('kmap_thread opens it to the caller alone', () => {
    const stack = withDevice(V3);
    stack.kernel.call(() => stack.kmap.kmapThread(PFN));
    expect([refusedHere(stack), refusedToAnother(stack)]).toEqual([false, true]);
    stack.kernel.call(() => stack.kmap.kunmapThread(PFN));
    expect(refusedHere(stack)).toBe(true);
  });

  it('one count mixes the scopes: kmap inside kmap_thread opens nothing to others (D-13)', () => {
    const stack = withDevice(V3);
    stack.kernel.call(() => {
      stack.kmap.kmapThread(PFN);
      stack.kmap.kmap(PFN);
    });
    expect(refusedToAnother(stack)).toBe(true);
  });

  it('and what the first kmap opened to all stays open to all after its kunmap (D-13)', () => {
    const stack = withDevice(V3);
    stack.kernel.call(() => {
      stack.kmap.kmap(PFN);
      stack.kmap.kmapThread(PFN);
      stack.kmap.kunmap(PFN);
      stack.kmap.kunmapThread(PFN);
    });
    expect(stack.access.ref.values[stack.kernel.runner.hostTask]).toBe(0);
    expect(refusedToAnother(stack)).toBe(false);
  });

  it('a kmap_thread without its kunmap_thread is reported at exit', () => {
    const { kernel, kmap } = withDevice(V3);
    kernel.call(() => kernel.spawn('siw', () => kmap.kmapThread(RAM_PFN)));
    kernel.run();
    expect(reported(kernel)).toContain('Failed to kunmap_thread()');
  });

  it('with D-11 repaired is kmap of the caller again', () => {
    const stack = withDevice({ ...V3, repairs: ['D-08', 'fork-inherits', 'D-11'] });
    stack.kernel.call(() => stack.kmap.kmap(PFN));
    expect([refusedHere(stack), refusedToAnother(stack)]).toEqual([false, true]);
  });
});

describe('kmap of a protected page', () => {
  const STRICT = { faultMode: 'strict' };

  it('is flagged in v7, once, and gives no access', () => {
    const stack = withDevice({ revision: 'v7', with: STRICT });
    stack.kernel.call(() => {
      stack.kmap.kmap(PFN);
      stack.kmap.kunmap(PFN);
      stack.kmap.kmap(PFN);
    });
    const flagged = reported(stack.kernel).filter((line) => line.startsWith('kmap:'));
    expect(flagged).toEqual(['kmap: invalid for a page with PGMAP_PROTECTION']);
    expect(refusedHere(stack)).toBe(true);
  });

  it('is neither hooked nor flagged in v10', () => {
    const stack = withDevice({ revision: 'v10', with: STRICT });
    stack.kernel.call(() => stack.kmap.kmap(PFN));
    expect(refusedHere(stack)).toBe(true);
    stack.kernel.call(() => stack.kmap.kunmap(PFN));
    expect(reported(stack.kernel)).toEqual([]);
  });
});

describe.each(['v7', 'v10', 'reference'] as const)('kmap_local_page in %s', (revision) => {
  it('opens the page for the context that maps it, nests, and closes with the last', () => {
    const stack = withDevice({ revision });
    const { kernel, kmap } = stack;
    const seen = kernel.call(() => {
      const one = kmap.kmapLocalPage(PFN);
      const two = kmap.kmapLocalPage(PFN + 1);
      kernel.machine.store32(two, 2);
      kmap.kunmapLocal(two);
      kernel.machine.store32(one, 1);
      kmap.kunmapLocal(one);
      return [one, two];
    });
    expect(seen).toEqual([ADDRESS, ADDRESS + 4096]);
    expect(stack.access.ref.values[kernel.runner.hostTask]).toBe(0);
    expect(reported(kernel)).toEqual([]);
  });

  it('leaves preemption on, unlike kmap_atomic', () => {
    const { kernel, kmap } = withDevice({ revision });
    const [local, atomic] = kernel.call(() => {
      const address = kmap.kmapLocalPage(PFN);
      const off = kernel.preempt.inAtomic;
      kmap.kunmapLocal(address);
      const second = kmap.kmapAtomic(PFN);
      const offThen = kernel.preempt.inAtomic;
      kmap.kunmapAtomic(second);
      return [off, offThen];
    });
    expect([local, atomic]).toEqual([false, true]);
  });
});

describe('kmap_local_page', () => {
  it.each(['rfc-v2', 'rfc-v3'] as const)('does not exist yet in %s', (revision) => {
    const { kernel, kmap } = withDevice({ revision });
    expect(() => kernel.call(() => kmap.kmapLocalPage(PFN))).toThrow(KernelError);
    expect(() => kernel.call(() => kmap.kmapLocalPage(PFN))).toThrow(
      expect.objectContaining({ errno: EOPNOTSUPP }),
    );
  });

  it('ends in reverse order: what does not is reported under reference', () => {
    const { kernel, kmap } = withDevice();
    kernel.call(() => {
      const one = kmap.kmapLocalPage(PFN);
      const two = kmap.kmapLocalPage(PFN + 1);
      kmap.kunmapLocal(one);
      kmap.kunmapLocal(two);
    });
    expect(reported(kernel).filter((line) => line.startsWith('kmap:'))).toEqual([
      'kmap: kunmap_local of pfn 0x100000 out of order',
    ]);
  });

  /** A handler maps for itself at each boundary of a task's section; whether anything was refused. */
  const handlerIsRefused = (options: BootOptions): boolean => {
    let refused = false;
    atEveryBoundary<Runner>(
      (runner) => runner.interrupt(0x20),
      (source) => {
        const { kernel, kmap } = withDevice(options);
        const wrong = kernel.machine.column({ name: 'w', type: 'u32', initial: 0, per: 'global' });
        const section = (): void => {
          const address = kmap.kmapLocalPage(PFN);
          if (kernel.machine.tryStore32(address, 1)) wrong.add(0, 1);
          kmap.kunmapLocal(address);
        };
        kernel.entry.requestIrq(0x20, section);
        kernel.runner.attach(source);
        kernel.call(section);
        kernel.runner.attach(null);
        if (wrong.values[0] !== 0) refused = true;
      },
    );
    return refused;
  };

  it('in a handler is refused under v10 where the task has a count but the handler no rights', () => {
    const strict = { revision: 'v10', with: { faultMode: 'strict' } } as const;
    expect(handlerIsRefused({})).toBe(false);
    expect(handlerIsRefused(strict)).toBe(true);
    expect(handlerIsRefused({ ...strict, repairs: ['handler-borrows'] })).toBe(false);
  });
});
