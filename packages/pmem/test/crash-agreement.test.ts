// SPDX-License-Identifier: MIT
// Two ways to what a power failure may leave: the explorer, whose recovery chooses a line's version when it reads the
// line, and every image of a log of the same run.

import { dax } from '@pkslab/dax';
import { explore, type Recovery, scenario } from '@pkslab/explore';
import { boot, type Kernel } from '@pkslab/kernel';
import { kmap } from '@pkslab/kmap';
import { memremap } from '@pkslab/memremap';
import { pksCore } from '@pkslab/pks-core';
import { describe, expect, it } from 'vitest';
import {
  crashedMedia,
  crashPoint,
  crashPointsOf,
  memoryMedia,
  type PersistenceDomain,
  type PmemDevice,
  pmem,
  StoreLog,
} from '../src/index.ts';
import { MIB } from './support.ts';

const MODULES = [pksCore, memremap, kmap, dax, pmem];
const LINE = 64;

interface Small {
  readonly kernel: Kernel;
  readonly device: PmemDevice;
}

/** A kernel with a device that is not protected: these tests are about memory. */
function small(): Small {
  const sabotages = ['pmem-flag-not-set'];
  const kernel = boot({ cpus: 1, memory: 8 * MIB, tasks: 12, modules: MODULES, sabotages });
  return { kernel, device: kernel.module(pmem).attachDisk({ media: memoryMedia(2 * MIB) }) };
}

/** A small program on lines 0 to 2. */
type Step =
  | { readonly kind: 'store'; readonly at: number; readonly value: number }
  | { readonly kind: 'copy'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'writeBack'; readonly line: number }
  | { readonly kind: 'fence' };

function run({ kernel, device }: Small, steps: readonly Step[]): void {
  const { machine } = kernel;
  for (const step of steps) {
    if (step.kind === 'store') machine.store32(device.address + step.at, step.value);
    else if (step.kind === 'copy')
      machine.copyIn(device.address + step.at, step.bytes, 0, step.bytes.length);
    else if (step.kind === 'writeBack') machine.clwb(device.address + step.line * LINE, LINE);
    else machine.sfence();
  }
}

/** What a recovery reads with; offsets count from the start of the device. */
type Read = (offset: number, length: number) => Uint8Array;

/** Reads the third line always, the first where the sum of its bytes is odd, and else the second. */
function recover(read: Read): string {
  const head = read(2 * LINE, LINE);
  const isOdd = head.reduce((sum, byte) => sum + byte, 0) % 2 === 1;
  const rest = isOdd ? read(0, LINE) : read(LINE + 8, 56);
  return `${head} ${rest}`;
}

interface Outcomes {
  readonly found: readonly string[];
  readonly tries: number;
}

/** Every crash of the explorer. */
function lazily(steps: readonly Step[], domain: PersistenceDomain): Outcomes {
  const found = new Set<string>();
  const result = explore(
    scenario({
      name: 'crash',
      title: 'a program on persistent memory',
      budget: { powerFail: 1 },
      setup: () => {
        const it = small();
        const { physical } = it.device;
        const recovery: Recovery = {
          domain,
          check: (memory) => {
            found.add(recover((offset, length) => memory.read(physical + offset, length)));
            return null;
          },
        };
        const task = it.kernel.spawn('program', () => run(it, steps));
        return { kernel: it.kernel, tasks: [task], invariants: [], recovery };
      },
    }),
  );
  expect(result).toMatchObject({ verdict: 'holds', events: 1 });
  return { found: [...found].sort(), tries: result.recoveries };
}

/** Every image after every event of a log. */
function eagerly(steps: readonly Step[], domain: PersistenceDomain): Outcomes {
  const it = small();
  const log = new StoreLog(it.kernel.machine.memory);
  it.kernel.call(() => run(it, steps));
  log.detach();
  const found = new Set<string>();
  let tries = 0;
  const points = domain === 'adr' ? crashPointsOf(log) : log.events.map((_, i) => i + 1);
  for (const events of new Set([0, ...points])) {
    const all = crashPoint(log, events, domain).forEachImage(1_000_000, (image) => {
      tries++;
      const media = crashedMedia(memoryMedia(2 * MIB), it.device.physical, image);
      const read: Read = (offset, length) => {
        const bytes = new Uint8Array(length);
        media.read(offset, bytes);
        return bytes;
      };
      found.add(recover(read));
    });
    expect(all).toBe(true);
  }
  return { found: [...found].sort(), tries };
}

/** A sequence of numbers that looks random and is not. */
function sequence(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 16) % limit;
  };
}

/** Few values, so that a store often changes nothing or goes back to what was there. */
function program(seed: number): Step[] {
  const below = sequence(seed);
  return Array.from({ length: 16 }, (): Step => {
    const kind = below(10);
    if (kind < 5) return { kind: 'store', at: below(3 * LINE - 4), value: below(3) };
    if (kind < 6) {
      const bytes = Uint8Array.from({ length: 30 }, () => below(2));
      return { kind: 'copy', at: below(3 * LINE - 30), bytes };
    }
    return kind < 9 ? { kind: 'writeBack', line: below(3) } : { kind: 'fence' };
  });
}

describe('what a power failure may leave', () => {
  it.each(['adr', 'eadr'] as const)('is the same lazily and eagerly (%s)', (domain) => {
    let recoveries = 0;
    let images = 0;
    let outcomes = 0;
    for (let seed = 1; seed <= 40; seed++) {
      const steps = program(seed);
      const lazy = lazily(steps, domain);
      const eager = eagerly(steps, domain);
      expect({ seed, found: lazy.found }).toEqual({ seed, found: eager.found });
      recoveries += lazy.tries;
      images += eager.tries;
      outcomes += lazy.found.length;
    }
    process.stdout.write(
      `  ${domain}: ${outcomes} outcomes of 40 programs: ${recoveries} recoveries, ${images} eager images\n`,
    );
    expect(outcomes).toBeGreaterThan(150);
  });

  it('takes few recoveries where they read little of what may be lost', () => {
    // A journal of 16 lines, none fenced, and a head that never says that it is there.
    const steps: Step[] = Array.from({ length: 16 }, (_, line) => ({
      kind: 'store',
      at: (3 + line) * LINE,
      value: 1,
    }));
    const lazy = lazily(steps, 'adr');
    const eager = eagerly(steps, 'adr');
    expect(lazy.found).toEqual(eager.found);
    process.stdout.write(`  unread: ${lazy.tries} recoveries, ${eager.tries} eager images\n`);
    expect(eager.tries).toBeGreaterThan(2 ** 16);
    expect(lazy.tries).toBeLessThan(300);
  });
});
