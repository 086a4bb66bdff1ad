// SPDX-License-Identifier: MIT
// D-12: what is granted to everybody is taken away by an interrupt to every CPU, and a CPU in a fault keeps it.

import { type Exploration, explore, type Scenario, scenario } from '@pkslab/explore';
import { boot, type Kernel, type RevisionRequest } from '@pkslab/kernel';
import { PKEY_DISABLE_ACCESS, PKEY_READ_WRITE, type Pks, pkrPair, pksCore } from '@pkslab/pks-core';
import { CHUNK_SIZE, type Column, PAGE_SIZE } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { smallStack } from '../src/scenarios/small-stack.ts';

interface Rig {
  readonly kernel: Kernel;
  readonly pks: Pks;
  readonly key: number;
  /** A page with the key. */
  readonly page: number;
}

function rig(request: Partial<RevisionRequest>): Rig {
  const kernel = boot({
    ...request,
    cpus: 2,
    memory: 4 * CHUNK_SIZE,
    tasks: 8,
    modules: [pksCore],
  });
  const pks = kernel.module(pksCore);
  return kernel.call(() => {
    const key = pks.keys.alloc('everybody');
    return { kernel, pks, key, page: kernel.mm.vmalloc(PAGE_SIZE, { key, writable: true }) };
  });
}

const flag = (kernel: Kernel, name: string): Column =>
  kernel.machine.column({ name: `scenario.${name}`, type: 'bool', initial: 0, per: 'global' });

/** CPU 0 takes away what everybody has while CPU 1 uses it; afterwards CPU 1 tries again. */
const revokeUnderFault: Scenario = scenario({
  name: 'revoke-under-fault',
  title: 'CPU 0 revokes a global grant while CPU 1 stores under it',
  budget: { irq: 0, nmi: 0, preempt: 0, pageFault: 0 },
  setup(request: RevisionRequest) {
    const { kernel, pks, key, page } = rig(request);
    const { machine } = kernel;
    const revoked = flag(kernel, 'revoked');
    const stale = flag(kernel, 'stale');
    kernel.call(() => {
      pks.pkrs.changeRightsGlobal(key, PKEY_READ_WRITE);
      // The tasks have the global grant alone: a child starts with its parent's own rights.
      pks.pkrs.changeRights(key, PKEY_DISABLE_ACCESS);
    });
    const owner = kernel.spawn('owner', () => {
      pks.pkrs.changeRightsGlobal(key, PKEY_DISABLE_ACCESS);
      revoked.set(0, 1);
    });
    const user = kernel.spawn('user', () => {
      machine.tryStore32(page, 1);
      if (revoked.get(0) === 1 && !machine.tryStore32(page, 2)) stale.set(0, 1);
    });
    return {
      kernel,
      tasks: [owner, user],
      invariants: [
        {
          id: 'D-12',
          text: 'what was revoked from everybody is closed on every CPU',
          looksAt: [stale],
          end: () => (stale.values[0] === 0 ? null : 'a store went through after the revoke'),
        },
      ],
    };
  },
});

/** The count that falls too low (D-12, another part) would hide this one. */
const PAIRED = { with: { globalPut: 'paired' } };

describe('the window of a global revoke', () => {
  const found = (options: Partial<RevisionRequest>): Exploration =>
    explore(revokeUnderFault, { revision: 'rfc-v3', ...options });

  it('is found in rfc-v3: the exit of a fault that began before installs the stale grant', () => {
    const { verdict, message, trace } = found(PAIRED);
    expect({ verdict, message }).toEqual({
      verdict: 'violated',
      message: 'a store went through after the revoke',
    });
    const order = ['#PF 0x23', 'pkrs_global_cache -> ', 'sendIpi', 'iret', 'scenario.stale := 1'];
    const places = order.map((step, i) => trace.indexOf(step, i === 0 ? 0 : trace.indexOf('#PF')));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places).not.toContain(-1);
    expect(trace).toContain('IPI arrives');
  });

  it('is not there without global rights', () => {
    expect(found({ repairs: ['D-12'] }).verdict).toBe('holds');
  });
});

describe('wrmsrl_on_cpu of a revoke', () => {
  it('reaches a CPU when it takes interrupts again, and not before', () => {
    const { kernel, pks, key } = rig({ revision: 'rfc-v3', ...PAIRED });
    const { machine } = kernel;
    const seen = flag(kernel, 'seen');
    const ready = flag(kernel, 'ready');
    const pair = (): number => pkrPair(machine.registers.pkrs.values[1] as number, key);
    const whileOff: number[] = [];
    kernel.call(() => {
      pks.pkrs.changeRightsGlobal(key, PKEY_READ_WRITE);
      kernel.spawnCode({
        name: 'interrupts off',
        cpu: 1,
        calls: [
          () => {
            pks.pkrs.changeRights(key, PKEY_READ_WRITE);
            machine.cli();
            ready.set(0, 1);
            for (let i = 0; i < 200; i++) seen.set(0, i & 1);
            whileOff.push(pair());
            machine.sti();
            seen.set(0, 0);
            whileOff.push(pair());
          },
        ],
      });
      ready.wait(0, 1);
      pks.pkrs.changeRightsGlobal(key, PKEY_DISABLE_ACCESS);
    });
    expect(whileOff).toEqual([PKEY_READ_WRITE, 3]);
  });

  it('waits with interrupts off where kmap revokes, which is a WARN on more than one CPU', () => {
    const warns = (cpus: number): boolean => {
      const request = { repairs: [], sabotages: [], ...PAIRED };
      const { kernel, memremap } = smallStack({ revision: 'rfc-v3', ...request }, cpus);
      kernel.call(() => {
        memremap.globalAccess.enable();
        memremap.globalAccess.disable();
      });
      return kernel.dmesg.some((line) => line.endsWith('at smp_call_function_single'));
    };
    expect([warns(1), warns(2)]).toEqual([false, true]);
  });
});
