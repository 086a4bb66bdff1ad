// SPDX-License-Identifier: MIT
// What each operation does to the machine.

import type { Column } from './cell.ts';
import { loadSegment } from './implicit.ts';
import { KIND_MASK, NON_TEMPORAL, Op, STACK, THIS_CPU, WIDE } from './operation.ts';
import { LARGE_PAGE_SIZE, PAGE_SIZE, PTE_PS } from './paging.ts';
import type { Chooser } from './state.ts';
import { executeRegister, executeSystem } from './system.ts';
import {
  copyPages,
  type ExecutingState,
  eachPage,
  exchangeAdd,
  fetchByte,
  load,
  loadWide,
  store,
  storeNonTemporal,
  storeWide,
  writeBack,
} from './transfer.ts';

/** Executes one operation on the executing CPU; `FAULTED` if it was refused. */
export function executeOperation(
  state: ExecutingState,
  kind: number,
  a: number,
  b: number,
  c: number,
  d: number,
): number {
  const op = kind & KIND_MASK;
  if (op < Op.rdmsr) return executeCell(state, op, a, b, c, d);
  if (op < Op.load8) return executeRegister(state, op, a, b, c, d);
  if (op < Op.copy) return executeScalar(state, kind, op, a, b, c, d);
  if (op < Op.readEntry) return executeBulk(state, kind, op, a, b, c, d);
  return executeOther(state, op, a, b, c, d);
}

function executeCell(
  state: ExecutingState,
  op: number,
  a: number,
  b: number,
  c: number,
  d: number,
): number {
  if (op === Op.mark) return 0;
  const column = state.columns[a] as Column;
  const index = op >= Op.thisCpuGet || b === THIS_CPU ? state.cpu.index : b;
  const old = column.values[index] as number;
  switch (op) {
    case Op.getLocal:
    case Op.get:
    case Op.thisCpuGet:
      return old;
    case Op.set:
    case Op.thisCpuSet:
      column.poke(index, c);
      return 0;
    case Op.add:
    case Op.thisCpuAdd:
      column.poke(index, column.wrap(old + c));
      return column.values[index] as number;
    case Op.exchange:
      column.poke(index, c);
      return old;
    case Op.compareExchange:
      if (old === c) column.poke(index, d);
      return old;
    case Op.testAndSetBit:
      column.poke(index, (old | (1 << c)) >>> 0);
      return (old >>> c) & 1;
    default:
      column.poke(index, (old & ~(1 << c)) >>> 0);
      return (old >>> c) & 1;
  }
}

function executeScalar(
  state: ExecutingState,
  kind: number,
  op: number,
  a: number,
  b: number,
  c: number,
  d: number,
): number {
  // load8, 16, 32, 64, then the stores alike.
  const size = 1 << (op - (op < Op.store8 ? Op.load8 : Op.store8));
  if ((kind & (WIDE | STACK | NON_TEMPORAL)) === 0) {
    return op < Op.store8 ? load(state, a, size) : store(state, a, size, c, d);
  }
  if ((kind & NON_TEMPORAL) !== 0) return storeNonTemporal(state, a, size, c, d);
  state.mmu.stackAccess = (kind & STACK) !== 0;
  let result: number;
  if ((kind & WIDE) === 0) {
    result = op < Op.store8 ? load(state, a, size) : store(state, a, size, c, d);
  } else {
    result = op < Op.store8 ? loadWide(state, a, b, size) : storeWide(state, a, b, size, c, d);
  }
  state.mmu.stackAccess = false;
  return result;
}

function executeBulk(
  state: ExecutingState,
  kind: number,
  op: number,
  a: number,
  b: number,
  c: number,
  d: number,
): number {
  const nonTemporal = (kind & NON_TEMPORAL) !== 0;
  switch (op) {
    case Op.copy:
      return copyPages(state, a, b, c, nonTemporal);
    case Op.fill:
      return eachPage(state, a, c, true, (chunk, offset, length) => {
        chunk.bytes.fill(b, offset, offset + length);
      });
    case Op.copyOut: {
      const into = state.buffers[b] as Uint8Array;
      return eachPage(state, a, c, false, (chunk, offset, length, done) => {
        into.set(chunk.bytes.subarray(offset, offset + length), d + done);
      });
    }
    default: {
      const source = state.buffers[b] as Uint8Array;
      return eachPage(state, a, c, true, (chunk, offset, length, done) => {
        chunk.bytes.set(source.subarray(d + done, d + done + length), offset);
        if (nonTemporal) state.memory.writeBackIn(chunk, offset, length);
      });
    }
  }
}

function executeOther(
  state: ExecutingState,
  op: number,
  a: number,
  b: number,
  c: number,
  d: number,
): number {
  switch (op) {
    case Op.readEntry: {
      const words = state.memory.chunkAt(a).words;
      const at = (a & 0x1f_ffff) >>> 2;
      state.resultHigh = (words[at + 1] as number) >>> 0;
      return (words[at] as number) >>> 0;
    }
    case Op.writeEntry:
      writeEntry(state, a, c, d);
      return 0;
    case Op.fillEntries:
      return fillEntries(state, a, b, c, d);
    case Op.clwb:
      return writeBack(state, a, b);
    case Op.sfence:
      state.memory.fence();
      return 0;
    case Op.lock:
      state.columns[a]?.poke(b, c);
      return 0;
    case Op.choose:
      return chooseFirst(state, a, b);
    case Op.switchStack:
      return state.switchStack(a);
    case Op.wait:
    case Op.retry:
    case Op.retryAny:
    case Op.halt:
      return 0;
    case Op.fetch:
      return fetchByte(state, a);
    case Op.xadd32:
      return exchangeAdd(state, a, 4, c, 0);
    case Op.xadd64:
      return exchangeAdd(state, a, 8, c, d);
    case Op.loadSegment:
      return loadSegment(state, a);
    default:
      return executeSystem(state, op, a, b, c, d);
  }
}

function chooseFirst(state: ExecutingState, number: number, argument: number): number {
  const chooser = state.choosers[number] as Chooser;
  const choice = chooser.alternatives(argument)[0] as number;
  chooser.take(choice);
  return choice;
}

function writeEntry(state: ExecutingState, address: number, low: number, high: number): void {
  const chunk = state.memory.chunkAt(address);
  const offset = address & 0x1f_ffff;
  state.journal?.bytes(chunk, offset, 8);
  chunk.words[offset >>> 2] = low;
  chunk.words[(offset >>> 2) + 1] = high;
}

/** A run of leaves: the frames ascend by the size of the leaf, and everything else stays. */
function fillEntries(
  state: ExecutingState,
  address: number,
  count: number,
  low: number,
  high: number,
): number {
  const step = (low & PTE_PS) !== 0 ? LARGE_PAGE_SIZE : PAGE_SIZE;
  let nextLow = low >>> 0;
  let nextHigh = high;
  for (let done = 0; done < count; ) {
    const chunk = state.memory.chunkAt(address + done * 8);
    const offset = (address + done * 8) & 0x1f_ffff;
    const part = Math.min(count - done, (LARGE_PAGE_SIZE - offset) / 8);
    state.journal?.bytes(chunk, offset, part * 8);
    const { words } = chunk;
    const end = (offset >>> 2) + part * 2;
    for (let at = offset >>> 2; at < end; at += 2) {
      words[at] = nextLow;
      words[at + 1] = nextHigh;
      nextLow += step;
      if (nextLow > 0xffff_ffff) {
        nextLow -= 0x1_0000_0000;
        nextHigh++;
      }
    }
    done += part;
  }
  return 0;
}
