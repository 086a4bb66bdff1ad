// SPDX-License-Identifier: MIT
// Control registers, MSRs and RFLAGS bits that paging, keys and events depend on. Intel SDM Vol. 3A §2.5, §4.6.

// CR0
export const CR0_PE: number = 1 << 0; // protection enable
export const CR0_MP: number = 1 << 1; // monitor coprocessor
export const CR0_EM: number = 1 << 2; // emulation
export const CR0_TS: number = 1 << 3; // task switched
export const CR0_ET: number = 1 << 4; // extension type, hardwired to 1
export const CR0_NE: number = 1 << 5; // numeric error
export const CR0_WP: number = 1 << 16; // write protect: supervisor writes obey R/W and WD
export const CR0_AM: number = 1 << 18; // alignment mask
export const CR0_NW: number = 1 << 29; // not write-through
export const CR0_CD: number = 1 << 30; // cache disable
export const CR0_PG = 0x8000_0000; // paging

// CR4
export const CR4_PAE: number = 1 << 5; // physical address extension
export const CR4_MCE: number = 1 << 6; // machine-check enable
export const CR4_PGE: number = 1 << 7; // global pages
export const CR4_UMIP: number = 1 << 11; // user-mode instruction prevention
export const CR4_LA57: number = 1 << 12; // 5-level paging
export const CR4_FSGSBASE: number = 1 << 16; // RDFSBASE and its family
export const CR4_PCIDE: number = 1 << 17; // process-context identifiers
export const CR4_OSXSAVE: number = 1 << 18; // XSAVE and extended states
export const CR4_SMEP: number = 1 << 20; // no supervisor fetch from user pages
export const CR4_SMAP: number = 1 << 21; // no supervisor access to user pages unless AC
export const CR4_PKE: number = 1 << 22; // protection keys for user pages
export const CR4_PKS: number = 1 << 24; // protection keys for supervisor pages

// IA32_EFER
export const EFER_SCE: number = 1 << 0; // SYSCALL enable
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
export const VECTOR_UD = 6;
export const VECTOR_DF = 8;
export const VECTOR_SS = 12;
export const VECTOR_GP = 13;
export const VECTOR_PF = 14;
export const VECTOR_MC = 18;

// What an event saves and IRET restores, as the handlers get it. Bit 0 is IF.
export const SAVED_IF: number = 1 << 0; // RFLAGS.IF
export const SAVED_USER: number = 1 << 1; // the event interrupted CPL 3
export const SAVED_AC: number = 1 << 2; // RFLAGS.AC
