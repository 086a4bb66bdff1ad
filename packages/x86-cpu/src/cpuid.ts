// SPDX-License-Identifier: MIT
// CPUID: the leaves that paging and keys depend on. Intel SDM Vol. 2A, CPUID.

import type { CpuFeatures } from './model.ts';
import { CR4_OSXSAVE, CR4_PKE } from './registers.ts';

/** The registers that CPUID returns, as unsigned 32-bit values. */
export interface CpuidResult {
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

const bit = (position: number, set: boolean): number => (set ? 2 ** position : 0);
// FPU, VME, DE, PSE, TSC, MSR, PAE, MCE, CX8, APIC, SEP, MTRR, PGE, MCA, CMOV, PAT, PSE36, CLFSH, MMX, FXSR, SSE, SSE2
const LEAF_1_EDX = 0x078b_fbff;
// "GenuineIntel"
const VENDOR = { ebx: 0x756e_6547, ecx: 0x6c65_746e, edx: 0x4965_6e69 };

/**
 * What CPUID answers on a CPU; leaves that are not modelled read as zero.
 *
 * @example
 * cpuid(cpuModels['sapphire-rapids'], 7, 0, 0).ecx >>> 31; // => 1
 * cpuid(cpuModels.haswell, 7, 0, 0).ecx >>> 31; // => 0
 */
export function cpuid(
  features: CpuFeatures,
  leaf: number,
  subleaf: number,
  cr4: number,
): CpuidResult {
  const zero = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  switch (leaf >>> 0) {
    case 0:
      return { eax: 7, ...VENDOR };
    case 1: {
      const osxsave = features.xsave && (cr4 & CR4_OSXSAVE) !== 0;
      const ecx = bit(17, features.pcid) + bit(26, features.xsave) + bit(27, osxsave);
      return { eax: features.signature, ebx: 0, ecx, edx: LEAF_1_EDX };
    }
    case 7:
      return subleaf === 0 ? structuredFeatures(features, cr4) : zero;
    case 0x8000_0000:
      return { ...zero, eax: 0x8000_0008 };
    case 0x8000_0001:
      // SYSCALL, NX, 1 GiB pages, long mode
      return {
        ...zero,
        edx: bit(11, true) + bit(20, true) + bit(26, features.gigabytePages) + bit(29, true),
      };
    case 0x8000_0008:
      return { ...zero, eax: features.physicalAddressBits + ((features.la57 ? 57 : 48) << 8) };
    default:
      return zero;
  }
}

function structuredFeatures(features: CpuFeatures, cr4: number): CpuidResult {
  const { fsgsbase, smep, invpcid, smap, umip, pku, la57, pks } = features;
  const ebx = bit(0, fsgsbase) + bit(7, smep) + bit(10, invpcid) + bit(20, smap);
  const osPke = pku && (cr4 & CR4_PKE) !== 0;
  const ecx = bit(2, umip) + bit(3, pku) + bit(4, osPke) + bit(16, la57) + bit(31, pks);
  return { eax: 0, ebx, ecx, edx: 0 };
}
