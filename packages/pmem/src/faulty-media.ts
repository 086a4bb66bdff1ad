// SPDX-License-Identifier: MIT
// Media that do not keep their word, for tests of tests.

import type { Media } from './media.ts';

/** How media break their word. */
export interface MediaFaults {
  /** Writes are reported done and dropped: of each this many, the last. 1 drops all. */
  readonly lostWriteBack?: number;
  /** Flushes are reported done and not passed on. */
  readonly lostFlush?: boolean;
}

/**
 * Wraps media so that they lose what they were told to keep; a test that still passes over them checks nothing.
 *
 * @example
 * const media = faultyMedia(memoryMedia(2 ** 21), { lostWriteBack: 1 });
 */
export function faultyMedia(media: Media, faults: MediaFaults): Media {
  let writes = 0;
  return {
    size: media.size,
    readOnly: media.readOnly ?? false,
    read: (offset, into) => media.read(offset, into),
    write: (offset, bytes) => {
      writes++;
      const every = faults.lostWriteBack ?? 0;
      if (every === 0 || writes % every !== 0) media.write(offset, bytes);
    },
    flush: () => {
      if (faults.lostFlush !== true) media.flush();
    },
    close: () => media.close(),
  };
}
