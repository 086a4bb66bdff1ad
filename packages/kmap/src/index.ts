// SPDX-License-Identifier: MIT
export { type KmapPolicy, kmapChoices } from './choices.ts';
export { HighmemKmap, KM_TYPE_NR, LAST_PKMAP, PKMAP_BASE } from './highmem.ts';
export { Kmap } from './kmap.ts';
export { kmap } from './module.ts';
export { FlaggedKmap, GlobalKmap, UnsupportedKmap } from './posted-kmap.ts';
