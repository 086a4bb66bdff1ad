// SPDX-License-Identifier: MIT
// What is really on the media.

import type { Kernel } from '@pkslab/kernel';
import type { Media, PmemDevice } from '@pkslab/pmem';
import { CHUNK_SIZE } from '@pkslab/x86-cpu';
import type { ImageExtent } from '../sqlite/layout.ts';
import type { CanaryEffect } from './result.ts';

/**
 * Bytes that the machine sees and the media do not have, outside an extent.
 *
 * After a flush there should be none: a power failure now would lose them.
 */
export function unflushedBytes(
  kernel: Kernel,
  device: PmemDevice,
  media: Media,
  except: ImageExtent,
): number {
  const onMedia = new Uint8Array(CHUNK_SIZE);
  let count = 0;
  for (let start = 0; start < device.size; start += CHUNK_SIZE) {
    const length = Math.min(CHUNK_SIZE, device.size - start);
    media.read(start, onMedia.subarray(0, length));
    const { bytes } = kernel.machine.memory.chunkAt(device.physical + start);
    for (let i = 0; i < length; i++) {
      if (bytes[i] === onMedia[i]) continue;
      const at = start + i;
      if (at < except.start || at >= except.start + except.size) count++;
    }
  }
  return count;
}

export function canaryEffect(media: Media, canary: ImageExtent, before: Uint8Array): CanaryEffect {
  const after = new Uint8Array(canary.size);
  media.read(canary.start, after);
  const changed = after.reduce((count, byte, i) => count + (byte === before[i] ? 0 : 1), 0);
  return { offset: canary.start, size: canary.size, changed };
}
