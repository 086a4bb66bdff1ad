// Reads of persistent memory through the whole stack, against a raw copy of the same pages.

import { dax } from '@pkslab/dax';
import { boot } from '@pkslab/kernel';
import { kmap } from '@pkslab/kmap';
import { memremap } from '@pkslab/memremap';
import { pksCore } from '@pkslab/pks-core';
import { memoryMedia, pmem } from '@pkslab/pmem';
import { row, timePair } from './measure.mjs';

const PAGE = 4096;
const SIZE = 256 * 1024 * 1024;
const PAGES = SIZE / PAGE;
/** Reads in one round. */
const READS = 40_000;

/** Every page once, in an order that neither the host's caches nor its prefetchers know. */
function shuffledPages() {
  const order = Int32Array.from({ length: PAGES }, (_, page) => page);
  let x = 2463534242;
  for (let i = PAGES - 1; i > 0; i--) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    const j = (x >>> 0) % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** Goes on through the order from round to round, so that both sides always read what they read long ago. */
function inOrder(order, read) {
  let at = 0;
  return (count) => {
    for (let i = 0; i < count; i++) {
      read(order[at] * PAGE);
      at = at + 1 === PAGES ? 0 : at + 1;
    }
  };
}

/** Rows of the pmem benchmarks. */
export function pmemBenchmarks() {
  const kernel = boot({ modules: [pksCore, memremap, kmap, dax, pmem] });
  const driver = kernel.module(pmem);
  const device = kernel.call(() => driver.attachDisk({ media: memoryMedia(SIZE) }));
  const raw = new Uint8Array(SIZE).fill(1);
  const page = new Uint8Array(PAGE).fill(1);
  const buffer = new Uint8Array(PAGE);
  kernel.call(() => {
    for (let at = 0; at < SIZE; at += PAGE) device.write(at, page);
  });
  const order = shuffledPages();
  const rows = [];
  kernel.call(() => {
    const ours = inOrder(order, (offset) => device.read(offset, buffer));
    const theirs = inOrder(order, (offset) => buffer.set(raw.subarray(offset, offset + PAGE)));
    const pair = timePair(ours, theirs, READS);
    rows.push(row('4 KiB pmem read, random pages of 256 MiB / raw Uint8Array.set', pair, 1.5));
  });
  return rows;
}
