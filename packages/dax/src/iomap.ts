// SPDX-License-Identifier: MIT
// Where a file's bytes are on a device. include/linux/iomap.h

import type { DaxDevice } from './device.ts';

/** IOMAP_HOLE, IOMAP_MAPPED, IOMAP_UNWRITTEN: nothing there, data there, room there that reads as zero. */
export type IomapType = 'hole' | 'mapped' | 'unwritten';

/** struct iomap: a run of a file's bytes that lie together. All in bytes. */
export interface Iomap {
  readonly type: IomapType;
  readonly device: DaxDevice;
  /** Where the run starts in the file. */
  readonly offset: number;
  readonly length: number;
  /** Where it starts on the device; of a hole, meaningless. */
  readonly address: number;
}

/** struct iomap_ops: what a file system answers. */
export interface IomapOperations {
  /** The run that holds `position`, or a negative errno. */
  begin(position: number, length: number): Iomap | number;
}

/** A run of a flat file. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
  readonly address: number;
  readonly unwritten?: boolean;
}

/**
 * The iomap of a file whose extents never change: what is in no extent is a hole.
 *
 * @example
 * flatExtents(device, [{ offset: 0, length: 8192, address: 4096 }]);
 */
export function flatExtents(device: DaxDevice, extents: readonly Extent[]): IomapOperations {
  const sorted = [...extents].sort((a, b) => a.offset - b.offset);
  return {
    begin: (position, length) => {
      let next = position + length;
      for (const extent of sorted) {
        if (position >= extent.offset && position < extent.offset + extent.length) {
          const type = extent.unwritten === true ? 'unwritten' : 'mapped';
          const { offset, length: bytes, address } = extent;
          return { type, device, offset, length: bytes, address };
        }
        if (extent.offset > position) {
          next = Math.min(next, extent.offset);
          break;
        }
      }
      return { type: 'hole', device, offset: position, length: next - position, address: 0 };
    },
  };
}
