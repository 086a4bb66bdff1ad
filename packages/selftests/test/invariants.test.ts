// SPDX-License-Identifier: MIT
// Each invariant that looks at keys, mappings and bring-up is broken by a kernel that is broken so.

import { type Exploration, explore, scenario } from '@pkslab/explore';
import { pksCore } from '@pkslab/pks-core';
import { CHUNK_SIZE, IA32_PKRS } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { flushedIsDurable, pksInvariants } from '../src/invariants.ts';
import { type SmallStack, smallStack } from '../src/scenarios/small-stack.ts';

const NONE = { irq: 0, nmi: 0, preempt: 0, pageFault: 0 };
const FREE_KEY = 5;

/** What a task finds on a kernel that `breakIt` has broken before the invariants are made. */
function broken(
  task: (stack: SmallStack) => void,
  breakIt: (stack: SmallStack) => void = () => {},
  irq = 0,
): Exploration {
  return explore(
    scenario({
      name: 'broken',
      title: 'a task on a broken kernel',
      budget: { ...NONE, irq },
      setup(request) {
        const stack = smallStack(request);
        breakIt(stack);
        const invariants = pksInvariants(stack.kernel, stack);
        const tasks = [stack.kernel.spawn('A', () => task(stack))];
        return { kernel: stack.kernel, tasks, invariants };
      },
    }),
  );
}

const nothing = ({ kernel }: SmallStack): void => void kernel.preempt.inAtomic;

describe('an unbroken kernel', () => {
  it('breaks none of them', () => expect(broken(nothing, () => {}, 1).verdict).toBe('holds'));
});

describe('I8', () => {
  it('is broken by an entry that restricts key 0 too', () => {
    const found = broken(
      nothing,
      ({ kernel }) =>
        kernel.slots.entrySave.push(() => kernel.machine.wrmsr(IA32_PKRS, 0x5555_5556)),
      1,
    );
    expect(found).toMatchObject({ invariant: 'I8', events: 1 });
    expect(found.message).toContain('key 0 is restricted: MSR 0x55555556');
  });
});

describe('I9', () => {
  it('is broken by a task that opens a key that nobody has', () => {
    const found = broken(({ kernel }) => kernel.module(pksCore).pkrs.changeRights(FREE_KEY, 0));
    expect(found).toMatchObject({
      invariant: 'I9',
      message: 'task 1: key 5 is free, and open in saved_pkrs',
    });
  });

  it('is broken by a mapping with a key that nobody has', () => {
    const found = broken(
      ({ kernel }) => void kernel.mm.vmalloc(4096, { key: FREE_KEY, writable: true }),
    );
    expect(found.invariant).toBe('I9');
    expect(found.message).toMatch(/^key 5 is free, and the page at ffffc9\w+ carries it$/);
  });
});

describe('I10', () => {
  it('is broken where the branch counts fewer page maps than there are', () => {
    const found = broken(({ memremap }) => memremap.access.branch.dec());
    expect(found).toMatchObject({
      invariant: 'I10',
      message: '1 protected page maps, and the static branch counts 0',
    });
  });

  it('is broken where it counts more of them at the end', () => {
    const found = broken(({ memremap }) => memremap.access.branch.inc());
    expect(found.message).toBe('1 protected page maps, and the static branch counts 2');
  });

  it('is broken where the code of a CPU is not patched', () => {
    const found = broken(({ memremap }) => memremap.access.branch.text.set(0, 0));
    expect(found.message).toBe('a protected page map is attached, and the code of CPU 0 is off');
  });
});

describe('I12', () => {
  it('is broken by a CPU that came up with every key open', () => {
    const found = broken(nothing, ({ kernel }) => {
      kernel.machine.registers.pkrs.values[0] = 0;
    });
    expect(found).toMatchObject({
      invariant: 'I12',
      message: 'CPU 0 runs its first task with MSR 0x00000000, pkrs_cache 0x55555554, CR4.PKS 1',
    });
  });

  it('is broken by a CPU that came up without CR4.PKS', () => {
    const found = broken(nothing, ({ kernel }) => {
      kernel.machine.registers.cr4.values[0] = 0x20;
    });
    expect(found.message).toContain('CR4.PKS 0');
  });
});

describe('I13', () => {
  const remap = (key: number) => (stack: SmallStack) => {
    const { kernel, address, pfn } = stack;
    kernel.mm.map(address, pfn * 4096, CHUNK_SIZE, { key, writable: true });
  };

  it('is broken where a protected page map lost its key', () => {
    expect(broken(remap(0)).message).toBe(
      'the mapping at ffff888100000000 was requested with key 1, and does not carry it',
    );
  });

  it('is broken by a page with a key that no mapping asked for', () => {
    const found = broken(({ kernel }) => void kernel.mm.vmalloc(4096, { key: 1, writable: true }));
    expect(found.message).toMatch(/carries key 1, and no live mapping was requested with it$/);
  });
});

describe('I15', () => {
  it('is broken by a handler that says "handled" and changes nothing', () => {
    const found = broken(
      ({ kernel, address }) => kernel.machine.store32(address, 1),
      ({ kernel }) => kernel.slots.keyFault.push(() => true),
    );
    expect(found.invariant).toBe('I15');
    expect(found.message).toContain('was declared handled, and the access is refused again');
  });

  it('is not broken by a refusal that the exception tables end', () => {
    const found = broken(({ kernel, address }) => {
      kernel.machine.tryStore32(address, 1);
      kernel.machine.tryStore32(address, 1);
    });
    expect(found.verdict).toBe('holds');
  });
});

describe('durability', () => {
  const lastCall = (task: (stack: SmallStack) => void): Exploration =>
    explore(
      scenario({
        name: 'last-call',
        title: 'a task stores to the device',
        budget: NONE,
        setup(request) {
          const stack = smallStack(request);
          const { kernel } = stack;
          const tasks = [kernel.spawn('A', () => task(stack))];
          return { kernel, tasks, invariants: [flushedIsDurable(kernel, stack)] };
        },
      }),
    );

  it.each<[string, (stack: SmallStack) => void]>([
    ['8 bytes', ({ kernel: { machine }, address }) => machine.store64(address, 1n)],
    ['a locked addition', ({ kernel: { machine }, address }) => machine.xadd32(address, 1)],
  ])('is broken by a store that nobody writes back: %s', (_what, store) => {
    const open = ({ kernel }: SmallStack): void => kernel.machine.wrmsr(IA32_PKRS, 0);
    const found = lastCall((stack) => {
      open(stack);
      store(stack);
    });
    expect(found).toMatchObject({ invariant: 'durable' });
    const flushed = lastCall((stack) => {
      open(stack);
      store(stack);
      stack.kernel.machine.clwb(stack.address, 8);
      stack.kernel.machine.sfence();
    });
    expect(flushed.verdict).toBe('holds');
  });
});
