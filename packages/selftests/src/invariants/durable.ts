// SPDX-License-Identifier: MIT
// What a flush promises: every line that was stored to has been written back, and a fence came after.

import { type Invariant, invariant, memoryAccess } from '@pkslab/explore';
import type { Kernel } from '@pkslab/kernel';
import { type Column, Op } from '@pkslab/x86-cpu';
import type { DeviceRange } from './rights.ts';

/** How far the stores to the device have come; the farthest behind counts. */
const Stage = { durable: 0, stored: 1, writtenBack: 2 } as const;

/**
 * Durability at the end of a scenario whose last call is a flush. For one writer: a write-back counts for all that it
 * has stored.
 */
export function flushedIsDurable(kernel: Kernel, device: DeviceRange): Invariant {
  const stage: Column = kernel.machine.column({
    name: 'explore.durable',
    type: 'u8',
    initial: Stage.durable,
    per: 'global',
  });
  const isDevice = (address: number): boolean =>
    address >= device.address && address < device.address + device.size;
  return invariant({
    id: 'durable',
    text: 'what was stored before a flush is on the media after it',
    operation(_view, op, a, b, c) {
      const stores = memoryAccess(op, a, b, c)?.writes === true;
      if (stores && isDevice(a)) stage.poke(0, Stage.stored);
      else if (op === Op.clwb && isDevice(a) && stage.values[0] === Stage.stored) {
        stage.poke(0, Stage.writtenBack);
      } else if (op === Op.sfence && stage.values[0] === Stage.writtenBack) {
        stage.poke(0, Stage.durable);
      }
      return null;
    },
    end() {
      if (stage.values[0] === Stage.durable) return null;
      const missing = stage.values[0] === Stage.stored ? 'written back' : 'fenced';
      return `a flush has returned, and a store before it was not ${missing}`;
    },
  });
}
