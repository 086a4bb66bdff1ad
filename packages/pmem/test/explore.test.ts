// SPDX-License-Identifier: MIT
// The driver's own code under every interleaving of the events that each test states.

import { dax } from '@pkslab/dax';
import { type Budget, explore, invariant, type Scenario, scenario } from '@pkslab/explore';
import { boot, Complaint, EIO, type Kernel, Mark } from '@pkslab/kernel';
import { kmap } from '@pkslab/kmap';
import { memremap } from '@pkslab/memremap';
import { pksCore } from '@pkslab/pks-core';
import { describe, expect, it } from 'vitest';
import { memoryMedia, type PmemDevice, pmem } from '../src/index.ts';
import { MIB } from './support.ts';

/** No oops and no WARN: every call here is legal. A stray store is not, and RFC V2 warns in the #PF that refuses it. */
const legal = invariant({
  id: 'I16',
  text: 'no oops, panic, WARN or deadlock in a scenario whose calls are all legal',
  mark: ({ frame }, id, argument) =>
    id === Mark.complaint && !(frame === 'exception' && argument === Complaint.warn)
      ? 'a complaint'
      : null,
});

type Call = (device: PmemDevice, kernel: Kernel, buffer: Uint8Array) => number;

/** Tasks that use one device; a failed call is a WARN. */
function pmemScenario(budget: Budget, ...calls: Call[]): Scenario {
  return preparedScenario(1, () => {}, budget, ...calls);
}

/** The same on so many CPUs, and on a device with a past. */
function preparedScenario(
  cpus: number,
  prepare: (device: PmemDevice) => void,
  budget: Budget,
  ...calls: Call[]
): Scenario {
  return scenario({
    name: 'pmem',
    title: 'tasks read and write a pmem device',
    budget,
    setup: (request) => {
      const modules = [pksCore, memremap, kmap, dax, pmem];
      const kernel = boot({ ...request, cpus, memory: 8 * MIB, tasks: 12, modules });
      const device = kernel.module(pmem).attachDisk({ media: memoryMedia(2 * MIB) });
      prepare(device);
      const tasks = calls.map((call, i) => {
        const buffer = new Uint8Array(8);
        return kernel.spawn(`task${i}`, () => {
          if (call(device, kernel, buffer) !== 0) kernel.oops.warn('pmem: a legal call failed');
        });
      });
      return { kernel, tasks, invariants: [legal], vectors: [0x20] };
    },
  });
}

const none: Budget = { irq: 0, nmi: 0, preempt: 0, pageFault: 0 };
const read = (device: PmemDevice, _kernel: Kernel, buffer: Uint8Array) => device.read(64, buffer);
const write = (device: PmemDevice, _kernel: Kernel, buffer: Uint8Array) => device.write(0, buffer);

describe('reads and writes', () => {
  it('succeed under one interrupt and one NMI anywhere', () => {
    const found = explore(pmemScenario({ ...none, irq: 1, nmi: 1 }, write));
    expect(found).toMatchObject({ verdict: 'holds', message: null });
    expect(found.states).toBeGreaterThan(500);
  });

  it('succeed for two tasks that preempt each other anywhere', () => {
    expect(explore(pmemScenario({ ...none, preempt: 1 }, read, write))).toMatchObject({
      verdict: 'holds',
      message: null,
    });
  });

  it('leave the device open in RFC V2 after one interrupt, and not where D-01 is repaired', () => {
    for (const call of [read, write]) {
      const guest: typeof read = (device, kernel, buffer) => {
        const error = call(device, kernel, buffer);
        // A stray store by anybody, once the call is over.
        return kernel.machine.tryStore32(device.address, 1) ? error : 1;
      };
      const scenario = pmemScenario({ ...none, irq: 1 }, guest);
      // Patch 08 warns of the stray store itself, which is welcome, and not what is asked here.
      const quiet = { keyFaultWarn: 'withoutPks' };
      const found = explore(scenario, { revision: 'rfc-v2', with: quiet });
      expect(found).toMatchObject({ verdict: 'violated', events: 1, attributedTo: 'D-01' });
      expect(explore(scenario)).toMatchObject({ verdict: 'holds' });
    }
  });
});

describe('the list of bad blocks', () => {
  /** Sector 0 is bad, by the second slot: the first is free. */
  const gapBefore = (device: PmemDevice): void => {
    device.addBadBlocks(100, 1);
    device.addBadBlocks(0, 1);
    device.write(100 * 512, new Uint8Array(512));
  };
  const readBad = (device: PmemDevice, _kernel: Kernel, buffer: Uint8Array): number =>
    device.read(64, buffer) === -EIO ? 0 : 1;
  const sector = new Uint8Array(512);
  const enlarge = (device: PmemDevice): number => (device.addBadBlocks(1, 1) ? 0 : 1);
  const enlargeThenUseAgain = (device: PmemDevice): number =>
    device.addBadBlocks(1, 1) && device.addBadBlocks(50, 1) ? 0 : 1;
  const cut = (device: PmemDevice): number => device.write(512, sector);

  it.each<[string, Call]>([
    ['a range that it is in grows', enlarge],
    ['a range that it is in grows, and its slot is used again', enlargeThenUseAgain],
  ])('is never without a sector that it has, while %s', (_what, change) => {
    const found = explore(preparedScenario(2, gapBefore, none, readBad, change));
    expect(found).toMatchObject({ verdict: 'holds', message: null });
  });

  it('never has a sector of neither before nor after, by one half of an entry that is used again', () => {
    const prepare = (device: PmemDevice): void => {
      gapBefore(device);
      device.addBadBlocks(0, 4);
    };
    const change: Call = (device) =>
      device.addBadBlocks(4, 1) && device.addBadBlocks(50, 1) ? 0 : 1;
    const readGood: Call = (device, _kernel, buffer) => device.read(52 * 512, buffer);
    const found = explore(preparedScenario(2, prepare, none, readGood, change));
    expect(found).toMatchObject({ verdict: 'holds', message: null });
  });

  it('is never without a sector that stays behind a cut', () => {
    const prepare = (device: PmemDevice): void => {
      device.addBadBlocks(100, 1);
      device.addBadBlocks(0, 3);
      device.write(100 * 512, new Uint8Array(512));
    };
    const readBehind: Call = (device, _kernel, buffer) =>
      device.read(2 * 512, buffer) === -EIO ? 0 : 1;
    const found = explore(preparedScenario(2, prepare, none, readBehind, cut));
    expect(found).toMatchObject({ verdict: 'holds', message: null });
  });
});
