// SPDX-License-Identifier: MIT
// Control registers, MSRs and RFLAGS bits that paging, keys and events depend on. Intel SDM Vol. 3A §2.5, §4.6.

// CR0
export const CR0_PE: number = 1 << 0; // protection enable
export const CR0_WP: number = 1 << 16; // write protect: supervisor writes obey R/W and WD
export const CR0_PG = 0x8000_0000; // paging

// CR4
export const CR4_PAE: number = 1 << 5; // physical address extension
export const CR4_PGE: number = 1 << 7; // global pages
export const CR4_LA57: number = 1 << 12; // 5-level paging
export const CR4_PCIDE: number = 1 << 17; // process-context identifiers
export const CR4_SMEP: number = 1 << 20; // no supervisor fetch from user pages
export const CR4_SMAP: number = 1 << 21; // no supervisor access to user pages unless AC
export const CR4_PKE: number = 1 << 22; // protection keys for user pages
export const CR4_PKS: number = 1 << 24; // protection keys for supervisor pages

// IA32_EFER
export const EFER_LME: number = 1 << 8; // long mode enable
export const EFER_LMA: number = 1 << 10; // long mode active
export const EFER_NXE: number = 1 << 11; // no-execute enable

/** MSR address of IA32_EFER. */
export const IA32_EFER = 0xc000_0080;
/** MSR address of IA32_PKRS. */
export const IA32_PKRS = 0x6e1;

// #PF error code, SDM Vol. 3A §4.7
export const PF_P: number = 1 << 0; // a translation exists
export const PF_W: number = 1 << 1; // write
export const PF_U: number = 1 << 2; // user-mode access
export const PF_RSVD: number = 1 << 3; // reserved bit set in an entry
export const PF_I: number = 1 << 4; // instruction fetch
export const PF_PK: number = 1 << 5; // protection-key violation

// Exception vectors
export const VECTOR_NMI = 2;
export const VECTOR_GP = 13;
export const VECTOR_PF = 14;
export const VECTOR_MC = 18;
