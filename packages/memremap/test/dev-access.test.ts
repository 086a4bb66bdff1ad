// SPDX-License-Identifier: MIT
import type { BootOptions, Runner } from '@pkslab/kernel';
import { INIT_PKRS_VALUE } from '@pkslab/pks-core';
import { describe, expect, it } from 'vitest';
import { atBoundary } from '../../../scripts/testing/boundaries.ts';
import { irq, nmi, sectionsHold, tasksHold } from './sections.ts';
import { attach, RAM, refused, reported, type Stack, withDevice } from './support.ts';

const OPEN = 0x5555_5550;
const MAX = 0xffff_ffff;
const pkrs = (stack: Stack): number => stack.kernel.machine.registers.pkrs.values[0] as number;
const enable = (stack: Stack): number => stack.kernel.call(() => stack.access.enable());
const disable = (stack: Stack): boolean => stack.kernel.call(() => stack.access.disable());
const hostRef = (stack: Stack): number =>
  stack.access.ref.values[stack.kernel.runner.hostTask] as number;

describe('dev_access_enable and dev_access_disable', () => {
  it('open device memory for the calling task between them', () => {
    const stack = withDevice();
    const { address } = attach(stack);
    expect(refused(stack, address)).toBe(true);
    enable(stack);
    expect([refused(stack, address), hostRef(stack), pkrs(stack)]).toEqual([false, 1, OPEN]);
    expect(disable(stack)).toBe(true);
    expect([refused(stack, address), hostRef(stack), pkrs(stack)]).toEqual([
      true,
      0,
      INIT_PKRS_VALUE,
    ]);
  });

  it('nest: the last disable closes', () => {
    const stack = withDevice();
    const { address } = attach(stack);
    enable(stack);
    enable(stack);
    disable(stack);
    expect(refused(stack, address)).toBe(false);
    disable(stack);
    expect(refused(stack, address)).toBe(true);
  });

  it('do nothing in rfc-v2 while no protected map exists', () => {
    const stack = withDevice({ revision: 'rfc-v2' });
    enable(stack);
    expect([hostRef(stack), pkrs(stack)]).toEqual([0, INIT_PKRS_VALUE]);
    expect(disable(stack)).toBe(false);
    expect(reported(stack.kernel)).toEqual([]);
  });

  it('move count and key together in reference, so that a section survives the last detach', () => {
    const stack = withDevice();
    const map = attach(stack);
    enable(stack);
    stack.kernel.call(() => stack.pagemaps.memunmapPages(map));
    expect(disable(stack)).toBe(true);
    expect([hostRef(stack), pkrs(stack)]).toEqual([0, INIT_PKRS_VALUE]);
    expect(reported(stack.kernel)).toEqual([]);
  });

  it('leave the key open when access-gated-by-branch sabotages the last detach', () => {
    const stack = withDevice({ sabotages: ['access-gated-by-branch'] });
    const map = attach(stack);
    enable(stack);
    stack.kernel.call(() => stack.pagemaps.memunmapPages(map));
    disable(stack);
    expect(pkrs(stack)).not.toBe(INIT_PKRS_VALUE);
  });

  it('give nothing to another task', () => {
    const stack = withDevice();
    const { kernel } = stack;
    const { address } = attach(stack);
    const other = kernel.machine.column({ name: 'other', type: 'u32', initial: 0, per: 'global' });
    kernel.call(() => {
      stack.access.enable();
      kernel.spawn('other', () => other.set(0, kernel.machine.tryStore32(address, 1) ? 1 : 2));
    });
    kernel.run();
    expect(other.values[0]).toBe(1);
    expect(refused(stack, address)).toBe(false);
  });
});

describe('an entry', () => {
  it('of an interrupt, at any boundary, has a section of its own and leaves the task its section', () => {
    expect(sectionsHold({}, irq)).toBe(true);
  });

  it('of an NMI does too', () => {
    expect(sectionsHold({}, nmi)).toBe(true);
  });

  it.each([
    ['rfc-v2 (D-01)', { revision: 'rfc-v2' }, irq],
    ['rfc-v2 without D-01 (D-03)', { revision: 'rfc-v2', repairs: ['D-01'] }, nmi],
    ['sabotage state-by-value', { sabotages: ['state-by-value'] }, irq],
    ['sabotage nmi-uncovered', { sabotages: ['nmi-uncovered'] }, nmi],
    ['sabotage entry-saves-nothing', { sabotages: ['entry-saves-nothing'] }, irq],
    ['sabotage saved-not-preserved', { sabotages: ['saved-not-preserved'] }, nmi],
    ['sabotage count-borrowed', { sabotages: ['count-borrowed'] }, irq],
    ['sabotage count-not-nested', { sabotages: ['count-not-nested'] }, irq],
  ] satisfies [string, BootOptions, (runner: Runner) => unknown][])(
    'fails that check under %s',
    (_name, options, fire) => {
      expect(sectionsHold(options, fire)).toBe(false);
    },
  );

  it('under rfc-v2 loses the count with the register (D-01), and the surplus disable wraps it (D-22)', () => {
    const stack = withDevice({ revision: 'rfc-v2' });
    const { kernel } = stack;
    const { address } = attach(stack);
    enable(stack);
    kernel.runner.attach(atBoundary<Runner>(1, irq));
    kernel.call(() => kernel.machine.store32(RAM, 1));
    kernel.runner.attach(null);
    expect([hostRef(stack), pkrs(stack)]).toEqual([0, 0]);
    disable(stack);
    expect(hostRef(stack)).toBe(MAX);
    // From now on the key's state is frozen: plain pairs do nothing, in either direction.
    expect(refused(stack, address)).toBe(false);
    enable(stack);
    expect(hostRef(stack)).toBe(0);
    disable(stack);
    expect([hostRef(stack), refused(stack, address)]).toEqual([MAX, false]);
    expect(reported(kernel)).toEqual([]);
  });
});

describe('preemption', () => {
  it('at any boundary neither takes a section away nor gives it to another task', () => {
    expect(tasksHold({})).toBe(true);
  });

  it.each([
    ['rfc-v2 without D-01 (D-08)', { revision: 'rfc-v2', repairs: ['D-01'] }],
    ['sabotage switch-slow-path-only', { sabotages: ['switch-slow-path-only'] }],
    ['sabotage switch-writes-nothing', { sabotages: ['switch-writes-nothing'] }],
  ] satisfies [string, BootOptions][])('does under %s', (_name, options) => {
    expect(tasksHold(options)).toBe(false);
  });
});

describe('unbalanced use', () => {
  it('a surplus disable is a WARN with the caller under reference, and changes nothing', () => {
    const stack = withDevice();
    const { address } = attach(stack);
    function carelessDriver(): boolean {
      return stack.access.disable();
    }
    expect(stack.kernel.call(carelessDriver)).toBe(false);
    expect(reported(stack.kernel).slice(1, 3)).toEqual([
      'memremap: dev_access_disable without an enable',
      'WARNING: CPU: 0 PID: 1 at dev_access_disable',
    ]);
    expect(reported(stack.kernel)).toContain(' careless_driver');
    expect([hostRef(stack), refused(stack, address)]).toEqual([0, true]);
    enable(stack);
    expect(refused(stack, address)).toBe(false);
  });

  it('under rfc-v2 wraps the count, after which plain pairs do not open (D-22)', () => {
    const stack = withDevice({ revision: 'rfc-v2' });
    const { address } = attach(stack);
    disable(stack);
    expect(hostRef(stack)).toBe(MAX);
    enable(stack);
    // A legitimate access is refused now; only a doubly nested section acts.
    expect(refused(stack, address)).toBe(true);
    enable(stack);
    expect(refused(stack, address)).toBe(false);
    const repaired = withDevice({ revision: 'rfc-v2', repairs: ['D-22'] });
    attach(repaired);
    disable(repaired);
    expect(hostRef(repaired)).toBe(0);
  });

  it.each(['exit', 'exec'])(
    'a section open at %s is a WARN and is closed under reference',
    (end) => {
      const stack = withDevice();
      const { kernel, access } = stack;
      attach(stack);
      const task = kernel.call(() =>
        kernel.spawn('leaky', () => {
          access.enable();
          if (end === 'exec') kernel.exec('leaky2');
        }),
      );
      kernel.run();
      expect(reported(kernel).filter((line) => line.startsWith('memremap'))).toEqual([
        `memremap: dev_page_access_ref is 1 at ${end}`,
      ]);
      expect(access.ref.values[task]).toBe(0);
      expect(stack.pkrs.saved.values[task]).toBe(INIT_PKRS_VALUE);
    },
  );

  it('a section open at exit goes unnoticed under rfc-v2', () => {
    const stack = withDevice({ revision: 'rfc-v2' });
    attach(stack);
    stack.kernel.call(() => stack.kernel.spawn('leaky', () => stack.access.enable()));
    stack.kernel.run();
    expect(reported(stack.kernel)).toEqual([]);
  });

  it('a task killed by an oops inside its section is not reported for that', () => {
    const stack = withDevice();
    const { kernel, access } = stack;
    attach(stack);
    kernel.call(() =>
      kernel.spawn('bad', () => {
        access.enable();
        kernel.machine.store32(-4096, 1);
      }),
    );
    kernel.run();
    expect(reported(kernel).filter((line) => line.startsWith('memremap'))).toEqual([]);
    expect(reported(kernel)).toContain('PKRS: 0x55555550');
  });
});

describe('fork', () => {
  it('gives the child a count of 0 in the middle of a section of its parent (I11)', () => {
    const stack = withDevice();
    attach(stack);
    const child = stack.kernel.call(() => {
      stack.access.enable();
      return stack.kernel.spawn('child', () => {});
    });
    expect([stack.access.ref.values[child], hostRef(stack)]).toEqual([0, 1]);
  });
});
