// Kernel calls with nothing attached, against the same logic without operations.

import * as kernelPackage from '@pkslab/kernel';
import * as kmapPackage from '@pkslab/kmap';
import * as memremapPackage from '@pkslab/memremap';
import * as pksCorePackage from '@pkslab/pks-core';
import { PlainKmap } from './kernel-plain.mjs';
import { row, timePair } from './measure.mjs';
import { unhookedPackages } from './unhooked.mjs';

const BASE = 0x1_0000_0000;
const SIZE = 2 * 1024 * 1024;
const PFN = BASE / 4096;
const ORDINARY_PFN = 600;

/** A kernel with one device: its kmap. */
function stackOf({ boot, pksCore, memremap, kmap, MemoryType, PGMAP_PROT_ENABLED }, protect) {
  const kernel = boot({ modules: [pksCore, memremap, kmap] });
  kernel.machine.memory.addRegion(BASE, SIZE, { read() {}, write() {} });
  const flags = protect ? PGMAP_PROT_ENABLED : 0;
  kernel
    .module(memremap)
    .pagemaps.memremapPages({ physical: BASE, size: SIZE, type: MemoryType.fsDax, flags });
  return kernel.module(kmap);
}

/** A loop of its own for each measurement: what one teaches the compiler is not the next one's. */
function pairs(target, pfn) {
  // Pages in turn, and somebody who uses the address: nothing that the compiler could leave out.
  const body = `return (n) => {
    let sum = 0;
    for (let i = 0; i < n; i++) {
      const page = pfn + (i & 255);
      sum += t.kmap(page);
      t.kunmap(page);
    }
    return sum;
  };`;
  return new Function('t', 'pfn', body)(target, pfn);
}

/** Rounds of about 2 ms, more than a scheduler on a busy host lets pass undisturbed, and many of them. */
const ROUNDS = 41;

function compare(a, b, count) {
  for (let i = 0; i < 20; i++) {
    a(count);
    b(count);
  }
  return timePair(a, b, count, ROUNDS);
}

/** Rows of the kernel's benchmarks. */
export async function kernelBenchmarks() {
  const hooked = { ...kernelPackage, ...kmapPackage, ...memremapPackage, ...pksCorePackage };
  const guarded = stackOf(hooked, true);
  const open = stackOf(hooked, false);
  const unhooked = stackOf(await unhookedPackages(), true);
  const protectedPage = pairs(guarded, PFN);
  return [
    row(
      'kmap + kunmap of a protected page / the same code without operations',
      compare(protectedPage, pairs(unhooked, PFN), 20_000),
      1.3,
    ),
    row(
      'kmap + kunmap of a protected page / by hand on plain objects',
      compare(protectedPage, pairs(new PlainKmap(PFN), PFN), 20_000),
      null,
    ),
    row(
      'kmap + kunmap of an ordinary page, protection on / off',
      compare(pairs(guarded, ORDINARY_PFN), pairs(open, ORDINARY_PFN), 100_000),
      1.1,
    ),
  ];
}
