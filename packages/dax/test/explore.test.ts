// SPDX-License-Identifier: MIT
// kill_dax against a user of the memory, under every preemption.

import { type Exploration, explore, invariant, scenario } from '@pkslab/explore';
import { boot, Mark } from '@pkslab/kernel';
import { kmap } from '@pkslab/kmap';
import { MemoryType, memremap, PGMAP_PROT_ENABLED } from '@pkslab/memremap';
import { pksCore } from '@pkslab/pks-core';
import { FIXED_UP } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { dax, devDaxProbe } from '../src/index.ts';
import { rig } from './support.ts';

const legal = invariant({
  id: 'I16',
  text: 'no oops, panic, WARN or deadlock in a scenario whose calls are all legal',
  mark: (_view, id) => (id === Mark.complaint ? 'a complaint' : null),
});

const readScene = scenario({
  name: 'kill-under-reader',
  title: 'a task reads through dax_direct_access while another kills and unmaps the device',
  budget: { irq: 0, nmi: 0, preempt: 2, pageFault: 0 },
  setup: (request) => {
    const { kernel, core, device, pagemap } = rig({ ...request, cpus: 1 });
    const { pagemaps } = kernel.module(memremap);
    // Another protected device keeps the static branch on: what its last dec does to grants is not asked here.
    pagemaps.memremapPages({
      physical: 2 ** 33,
      size: 4096,
      type: MemoryType.fsDax,
      flags: PGMAP_PROT_ENABLED,
    });
    const reader = kernel.spawn('reader', () => {
      const id = core.readLock();
      const found = core.directAccess(device, 0, 1);
      if (typeof found !== 'number') kernel.machine.load32(found.address);
      core.readUnlock(id);
    });
    const killer = kernel.spawn('killer', () => {
      core.killDax(device);
      pagemaps.memunmapPages(pagemap);
    });
    return { kernel, tasks: [reader, killer], invariants: [legal] };
  },
});

const DEVICE_BASE = 2 ** 33;

const faultScene = scenario({
  name: 'kill-under-fault',
  title: 'a program stores to a device-dax that it maps while another task removes the device',
  budget: { irq: 0, nmi: 0, preempt: 2, pageFault: 0 },
  setup: (request) => {
    const kernel = boot({ ...request, cpus: 1, modules: [pksCore, memremap, kmap, dax] });
    const { machine, userMm } = kernel;
    const backing = { read: () => {}, write: () => {} };
    machine.memory.addRegion(DEVICE_BASE, 2 ** 21, backing);
    const device = devDaxProbe(kernel, {
      ...{ name: 'dax0.0', device: 0, physical: DEVICE_BASE },
      ...{ size: 2 ** 21, alignment: 2 ** 21 },
    });
    const address = userMm.mmap({ file: device.file, length: 2 ** 21 });
    const ended = machine.column({ name: 'test.ended', type: 'u8', initial: 0, per: 'global' });
    // Whoever is last looks: the device is gone, so the program must not reach its memory any more.
    const end = (): void => {
      if (ended.add(0, 1) < 2) return;
      if (machine.tryLoad32(address) !== FIXED_UP) kernel.oops.warn('a mapping of what is gone');
    };
    const program = kernel.spawn('program', () => {
      userMm.run(() => machine.tryStore32(address, 1));
      end();
    });
    const driver = kernel.spawn('driver', () => {
      device.remove();
      end();
    });
    return { kernel, tasks: [program, driver], invariants: [legal] };
  },
});

function search(sabotages: string[], scene = readScene): Exploration {
  return explore(scene, { sabotages });
}

describe('kill_dax and memunmap_pages', () => {
  it('never pull the memory away from under a reader', () => {
    expect(search([])).toMatchObject({ verdict: 'holds', message: null });
  });

  it('would, if kill_dax did not wait (dax-kill-does-not-wait)', () => {
    const found = search(['dax-kill-does-not-wait']);
    expect(found).toMatchObject({ verdict: 'violated', invariant: 'I16' });
  });
});

describe('dev_dax_remove', () => {
  it('leaves no user leaf, wherever a fault was', { timeout: 60_000 }, () => {
    const { verdict, message } = search([], faultScene);
    expect({ verdict, message }).toEqual({ verdict: 'holds', message: null });
  });

  it('would, if it did not wait for faults (dax-kill-does-not-wait)', { timeout: 60_000 }, () => {
    const found = search(['dax-kill-does-not-wait'], faultScene);
    expect(found).toMatchObject({ verdict: 'violated', invariant: 'I16' });
  });
});
