// SPDX-License-Identifier: MIT
export { memremapChoices } from './choices.ts';
export {
  DevAccess,
  devPageAccessRefField,
  devProtectionStaticKey,
  PKEY_INVALID,
} from './dev-access.ts';
export { type Memremap, memremap } from './memremap.ts';
export {
  MemoryType,
  type Pagemap,
  type PagemapRequest,
  Pagemaps,
  PGMAP_ALTMAP_VALID,
  PGMAP_PROT_ENABLED,
} from './pagemap.ts';
