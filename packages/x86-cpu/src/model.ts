// SPDX-License-Identifier: MIT
// CPU descriptions as data: what a processor has, and a few named ones.

/** What the CPUs of a machine are. */
export interface CpuFeatures {
  /** Protection keys for supervisor pages: CPUID.7.0:ECX[31]. */
  readonly pks: boolean;
  /** Protection keys for user pages: CPUID.7.0:ECX[3]. */
  readonly pku: boolean;
  /** MAXPHYADDR, 36 to 52. */
  readonly physicalAddressBits: number;
  /** 57-bit linear addresses and 5-level paging. */
  readonly la57: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  /** 1 GiB pages. */
  readonly gigabytePages: boolean;
  readonly pcid: boolean;
  readonly invpcid: boolean;
  readonly umip: boolean;
  readonly fsgsbase: boolean;
  readonly xsave: boolean;
  /** CPUID.1:EAX: family, model and stepping. */
  readonly signature: number;
}

/** Named CPU models. */
export type CpuModelName = 'sapphire-rapids' | 'skylake-sp' | 'haswell';

/**
 * The named models: one with PKS and LA57, one with user keys only, one with neither.
 *
 * @example
 * cpuModels['skylake-sp'].pks; // => false
 */
export const cpuModels: Readonly<Record<CpuModelName, CpuFeatures>> = {
  'sapphire-rapids': {
    pks: true,
    pku: true,
    physicalAddressBits: 46,
    la57: true,
    smep: true,
    smap: true,
    gigabytePages: true,
    pcid: true,
    invpcid: true,
    umip: true,
    fsgsbase: true,
    xsave: true,
    signature: 0x000806f8,
  },
  'skylake-sp': {
    pks: false,
    pku: true,
    physicalAddressBits: 46,
    la57: false,
    smep: true,
    smap: true,
    gigabytePages: true,
    pcid: true,
    invpcid: true,
    umip: false,
    fsgsbase: true,
    xsave: true,
    signature: 0x00050654,
  },
  haswell: {
    pks: false,
    pku: false,
    physicalAddressBits: 39,
    la57: false,
    smep: true,
    smap: false,
    gigabytePages: true,
    pcid: true,
    invpcid: true,
    umip: false,
    fsgsbase: true,
    xsave: true,
    signature: 0x000306c3,
  },
};

/**
 * What processors may do differently where the manual leaves it open; the default is its letter.
 */
export interface Behaviours {
  /**
   * PK in the error code of a *user* access that hits a supervisor page whose PKRS key denies. The access
   * faults in any case. Default true; QEMU leaves it clear.
   */
  readonly keyBitOnSupervisorPage: boolean;
  /** A faulting walk sets the accessed bit of the non-leaf entries that it passed, as QEMU does. Default false. */
  readonly accessedOnFault: boolean;
  /**
   * A TLB entry that refuses an access faults without another walk, as SDM Vol. 3A §4.10.4.3 allows: finds
   * flushes that are missing where rights were *added*. Default false.
   */
  readonly spuriousFaults: boolean;
  /**
   * Which IRET unblocks NMIs: `any`, as processors do (SDM Vol. 3A §6.7.1), or the one that software `marked` as
   * the end of an NMI, as a kernel with a nested-NMI entry appears. Default `any`.
   */
  readonly iretUnblocksNmi: 'any' | 'marked';
}

/** The default behaviours. */
export const sdmBehaviours: Behaviours = {
  keyBitOnSupervisorPage: true,
  accessedOnFault: false,
  spuriousFaults: false,
  iretUnblocksNmi: 'any',
};
