// SPDX-License-Identifier: MIT
// A protected device for tests of the programme.

import type { Kernel } from '@pkslab/kernel';
import { type MemoryMedia, memoryMedia, type PmemDevice, pmem } from '@pkslab/pmem';
import { CHUNK_SIZE } from '@pkslab/x86-cpu';
import type { Bench } from './bench.ts';

export interface DeviceRig {
  readonly device: PmemDevice;
  readonly media: MemoryMedia;
}

/** Attaches a device of 2 MiB that keeps its contents in host memory. */
export function attachDevice(kernel: Kernel): DeviceRig {
  const media = memoryMedia(CHUNK_SIZE);
  return { device: kernel.call(() => kernel.module(pmem).attachDisk({ media })), media };
}

/** Bytes that tell their place. */
export function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + 7) & 0xff);
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Writes through the driver and reads it back, over a page boundary. */
export function roundTrip(bench: Bench, kernel: Kernel, device: PmemDevice): void {
  const data = pattern(100);
  const back = new Uint8Array(data.length);
  bench.equal(
    'a write',
    kernel.call(() => device.write(4060, data)),
    0,
  );
  bench.equal(
    'a read',
    kernel.call(() => device.read(4060, back)),
    0,
  );
  bench.check(sameBytes(data, back), 'what was read is not what was written');
}
