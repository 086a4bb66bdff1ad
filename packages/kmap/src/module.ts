// SPDX-License-Identifier: MIT
// The module: what boot puts into the kernel.

import type { Kernel, KernelModule } from '@pkslab/kernel';
import { type KmapPolicy, kmapChoices } from './choices.ts';
import { HighmemKmap } from './highmem.ts';
import { Kmap } from './kmap.ts';
import { FlaggedKmap, GlobalKmap, UnsupportedKmap } from './posted-kmap.ts';

const BY_POLICY: Readonly<Record<KmapPolicy, new (kernel: Kernel) => Kmap>> = Object.freeze({
  grant: Kmap,
  local: Kmap,
  global: GlobalKmap,
  flagged: FlaggedKmap,
  unsupported: UnsupportedKmap,
});

/** C names of the verbs, for every class that has them. */
const SYMBOLS: Readonly<Record<string, string>> = Object.freeze(
  Object.fromEntries(
    [Kmap, HighmemKmap, GlobalKmap, FlaggedKmap, UnsupportedKmap].flatMap(({ name }) => [
      [`${name}.kmapAtomic`, 'kmap_atomic'],
      [`${name}.kunmapAtomic`, 'kunmap_atomic'],
      [`${name}.kmapLocalPage`, 'kmap_local_page'],
      [`${name}.kunmapLocal`, 'kunmap_local'],
      [`${name}.kmapThread`, 'kmap_thread'],
      [`${name}.kunmapThread`, 'kunmap_thread'],
      [`${name}.disableAccess`, 'disable_access'],
      [`${name}.enableAccess`, 'enable_access'],
    ]),
  ),
);

/**
 * kmap as a boot module; needs memremap.
 *
 * @example
 * const kernel = boot({ modules: [pksCore, memremap, kmap] });
 * kernel.choice('kmapPolicy'); // => 'local'
 */
export const kmap: KernelModule<Kmap> = {
  name: 'kmap',
  ...kmapChoices,
  symbols: SYMBOLS,
  create(kernel) {
    if (kernel.config.enabled('HIGHMEM')) return new HighmemKmap(kernel);
    return new BY_POLICY[kernel.choice('kmapPolicy') as KmapPolicy](kernel);
  },
};
