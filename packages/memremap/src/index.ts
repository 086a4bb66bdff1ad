// SPDX-License-Identifier: MIT
export { type GrantVerbs, memremapChoices } from './choices.ts';
export { memremapConfig } from './config.ts';
export {
  DevAccess,
  devPageAccessRefField,
  devProtectionStaticKey,
  PKEY_INVALID,
  pgmapProtCountField,
  type Rights,
} from './dev-access.ts';
export { DEVRES_DEVICES_MAX, Devres, type DevresAction } from './devres.ts';
export { PKS_FAULT_MODE_FILE } from './fault-mode.ts';
export { GlobalAccess } from './global-access.ts';
export { type Memremap, memremap } from './memremap.ts';
export { HELD_PAGES_MAX } from './page-references.ts';
export { devmapManagedKey, type Pagemap, Pagemaps } from './pagemap.ts';
export {
  MemoryType,
  type PagemapOperations,
  type PagemapRequest,
  PGMAP_ALTMAP_VALID,
  PGMAP_PROT_ENABLED,
} from './pagemap-request.ts';
