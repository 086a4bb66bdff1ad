// SPDX-License-Identifier: MIT
// Scalar accesses at any 64-bit address: those beyond ±2^53, which 5-level paging has, are not exact as numbers.

import type { MachineCore } from './core.ts';
import { Op, type OpKind, WIDE } from './operation.ts';

/** Bytes of a scalar access. */
export type ScalarSize = 1 | 2 | 4 | 8;

const LOADS: Readonly<Record<ScalarSize, OpKind>> = {
  1: Op.load8,
  2: Op.load16,
  4: Op.load32,
  8: Op.load64,
};
const STORES: Readonly<Record<ScalarSize, OpKind>> = {
  1: Op.store8,
  2: Op.store16,
  4: Op.store32,
  8: Op.store64,
};

/** Page number and offset of an address that people wrote; the page number of every 64-bit address is exact. */
export function splitAddress(address: number | bigint | string): { page: number; offset: number } {
  if (typeof address === 'number') {
    if (!Number.isSafeInteger(address)) {
      throw new RangeError(
        `address ${address}: beyond 2^53 an address is a bigint or a hex string`,
      );
    }
    return { page: Math.floor(address / 4096), offset: address & 0xfff };
  }
  const wide = BigInt.asIntN(64, BigInt(address));
  return { page: Number(wide >> 12n), offset: Number(wide & 0xfffn) };
}

/**
 * Loads from any address.
 *
 * @example
 * const machine = new Machine();
 * const tables = new PageTables(machine, 0x10000);
 * tables.map('0xffff888000001000', 0x200000);
 * machine.writeCr(3, tables.root);
 * loadAt(machine, '0xffff888000001000', 4); // => 0n
 */
export function loadAt(
  machine: MachineCore,
  address: number | bigint | string,
  size: ScalarSize,
): bigint {
  const { page, offset } = splitAddress(address);
  const low = machine.operate(LOADS[size] | WIDE, page, offset, 0, 0);
  const high = size === 8 ? machine.resultHigh : 0;
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

/** Stores to any address. */
export function storeAt(
  machine: MachineCore,
  address: number | bigint | string,
  size: ScalarSize,
  value: bigint,
): void {
  const { page, offset } = splitAddress(address);
  const low = Number(value & 0xffff_ffffn);
  const high = Number((value >> 32n) & 0xffff_ffffn);
  machine.operate(STORES[size] | WIDE, page, offset, low, high);
}

/** CR2 of the executing CPU, exact. */
export function readCr2(machine: MachineCore): bigint {
  const { cr2, cr2Offset } = machine.registers;
  const i = machine.cpu.index;
  const address = BigInt(cr2.values[i] as number) + BigInt(cr2Offset.values[i] as number);
  return BigInt.asUintN(64, address);
}
