// SPDX-License-Identifier: MIT
// Two-step commits on persistent memory, and the power fails anywhere.

import { type CrashedMemory, type Recovery, type Scenario, scenario } from '@pkslab/explore';
import { boot, type Kernel, type RevisionRequest } from '@pkslab/kernel';
import { kmap } from '@pkslab/kmap';
import { memoryMedia, type PmemDevice, pmem, REQ_FUA, REQ_PREFLUSH } from '@pkslab/pmem';
import {
  CHUNK_SIZE,
  type Column,
  type FieldDefinition,
  LINE_SIZE,
  PAGE_SIZE,
} from '@pkslab/x86-cpu';
import { legalCalls } from '../invariants.ts';
import { stackModules } from '../stack.ts';

/** Set once somebody was told that the commit is done: from there on it must survive. */
const promisedField: FieldDefinition = {
  name: 'scenario.promised',
  type: 'bool',
  initial: 0,
  per: 'global',
};

const SECTOR = 512;
const COMMITTED = 0xc0;

interface PmemStack {
  readonly kernel: Kernel;
  readonly device: PmemDevice;
  readonly promised: Column;
}

/** The whole stack with one device of 2 MiB. Its media are not undone by a search, and nobody reads them again. */
function pmemStack(request: RevisionRequest): PmemStack {
  const kernel = boot({
    ...request,
    cpus: 1,
    memory: 4 * CHUNK_SIZE,
    tasks: 12,
    modules: stackModules,
  });
  const device = kernel.module(pmem).attachDisk({ media: memoryMedia(CHUNK_SIZE) });
  return { kernel, device, promised: kernel.machine.column(promisedField) };
}

/** Where a commit keeps its data and the word that says that they are there, from the device's first byte on. */
interface Layout {
  readonly dataLength: number;
  readonly commit: number;
}

/** Before or after, never between; and after, once it was promised. */
function recover(
  { device, promised }: PmemStack,
  { dataLength, commit }: Layout,
  memory: CrashedMemory,
): string | null {
  if (memory.u32(device.physical + commit) !== COMMITTED) {
    return promised.values[0] === 0 ? null : 'a commit that was promised is gone';
  }
  const data = memory.read(device.physical, dataLength);
  const torn = data.indexOf(0);
  return torn < 0 ? null : `committed, but byte ${torn} of the data is not there`;
}

function pmemSetup(
  request: RevisionRequest,
  layout: Layout,
  domain: NonNullable<Recovery['domain']>,
  commit: (stack: PmemStack) => void,
) {
  const stack = pmemStack(request);
  const { kernel } = stack;
  const task = kernel.spawn('writer', () => commit(stack));
  return {
    kernel,
    tasks: [task],
    // About what survives; rights over it are the other scenarios' matter.
    invariants: [legalCalls()],
    recovery: { domain, check: (memory: CrashedMemory) => recover(stack, layout, memory) },
  };
}

/** What may be wrong with a commit on mapped persistent memory, and what the platform saves. */
export interface CommitVariant {
  readonly name: string;
  /** What is left out between data and commit; default nothing. */
  readonly without?: 'fence' | 'writeBack' | undefined;
  /** Default `adr`. */
  readonly domain?: NonNullable<Recovery['domain']>;
}

const LINES: Layout = { dataLength: 16, commit: LINE_SIZE };

/** Data, write back, fence, commit word, write back, fence: in a kmap_atomic, which every revision grants. */
export function commitOnMapped({ name, without, domain = 'adr' }: CommitVariant): Scenario {
  const missing = without === undefined ? '' : `; the ${without} before the commit is left out`;
  return scenario({
    name,
    title: `a task commits two lines to mapped pmem, and the power fails (${domain})${missing}`,
    budget: { powerFail: 1 },
    setup: (request) =>
      pmemSetup(request, LINES, domain, ({ kernel, device, promised }) => {
        const { machine } = kernel;
        const maps = kernel.module(kmap);
        const address = maps.kmapAtomic(device.physical / PAGE_SIZE);
        machine.store32(address, 0x1111_1111);
        machine.store32(address + 4, 0x1111_1111);
        machine.store32(address + 8, 0x1111_1111);
        machine.store32(address + 12, 0x1111_1111);
        if (without !== 'writeBack') machine.clwb(address, LINES.dataLength);
        if (without !== 'fence') machine.sfence();
        machine.store32(address + LINES.commit, COMMITTED);
        machine.clwb(address + LINES.commit, 4);
        machine.sfence();
        promised.set(0, 1);
        maps.kunmapAtomic(address);
      }),
  });
}

const SECTORS: Layout = { dataLength: SECTOR, commit: SECTOR };

/** A bio with data, then one that commits them, with PREFLUSH and FUA. */
export const commitBio: Scenario = scenario({
  name: 'commit-bio',
  title: 'a bio writes data and a second one, with PREFLUSH and FUA, commits them; the power fails',
  budget: { powerFail: 1 },
  setup(request: RevisionRequest) {
    const data = new Uint8Array(SECTOR).fill(0x11);
    const word = new Uint8Array(SECTOR);
    word[0] = COMMITTED;
    const write = (buffer: Uint8Array, sector: number, flags: number) => ({
      operation: 'write' as const,
      sector,
      flags,
      segments: [{ buffer, offset: 0, length: SECTOR }],
    });
    return pmemSetup(request, SECTORS, 'adr', ({ kernel, device, promised }) => {
      const first = device.submitBio(write(data, 0, 0));
      const second = device.submitBio(write(word, 1, REQ_PREFLUSH | REQ_FUA));
      if (first !== 0 || second !== 0) kernel.oops.warn('pmem: a legal bio failed');
      promised.set(0, 1);
    });
  },
});

/** The commit as it should be. */
export const commitProtocol: Scenario = commitOnMapped({ name: 'commit-protocol' });
