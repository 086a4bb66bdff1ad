// SPDX-License-Identifier: MIT
// kill_dax against a user of the memory, under every preemption.

import { type Exploration, explore, invariant, scenario } from '@pkslab/explore';
import { Mark } from '@pkslab/kernel';
import { MemoryType, memremap, PGMAP_PROT_ENABLED } from '@pkslab/memremap';
import { describe, expect, it } from 'vitest';
import { rig } from './support.ts';

const legal = invariant({
  id: 'I16',
  text: 'no oops, panic, WARN or deadlock in a scenario whose calls are all legal',
  mark: (_view, id) => (id === Mark.complaint ? 'a complaint' : null),
});

const scene = scenario({
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

function search(sabotages: string[]): Exploration {
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
