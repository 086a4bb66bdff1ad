// SPDX-License-Identifier: MIT
// What each operation does to the machine.

import type { Column } from './cell.ts';
import type { Chooser, Machine } from './machine.ts';
import type { Chunk } from './memory.ts';
import { FAULTED, KIND_MASK, Op } from './operation.ts';
import { entryFrame, entryHigh, entryKey } from './paging.ts';
import { CR4_PKE, CR4_PKS, IA32_EFER, IA32_PKRS, VECTOR_GP } from './registers.ts';

const PAGE = 4096;

/** Executes one operation on the executing CPU; `FAULTED` if it was refused. */
export function executeOperation(
  machine: Machine,
  kind: number,
  a: number,
  b: number,
  c: number,
  d: number,
): number {
  const op = kind & KIND_MASK;
  if (op < Op.rdmsr) return executeCell(machine, op, a, b, c, d);
  if (op < Op.load8) return executeRegister(machine, op, a, b, c, d);
  if (op < Op.readEntry) return executeMemory(machine, op, a, b, c, d);
  return executeOther(machine, op, a, b, c, d);
}

function executeCell(
  machine: Machine,
  op: number,
  a: number,
  b: number,
  c: number,
  d: number,
): number {
  if (op === Op.mark) return 0;
  const column = machine.columns[a] as Column;
  const index = op >= Op.thisCpuGet ? machine.cpu.index : b;
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

function executeRegister(
  machine: Machine,
  op: number,
  a: number,
  b: number,
  c: number,
  d: number,
): number {
  const { interruptFlag, nmiBlocked } = machine.registers;
  const index = machine.cpu.index;
  const flag = interruptFlag.values[index] as number;
  switch (op) {
    case Op.rdmsr:
      return readMsr(machine, a);
    case Op.wrmsr:
      return writeMsr(machine, a, c, d);
    case Op.readCr:
      return controlRegister(machine, a).values[index] as number;
    case Op.writeCr:
      return writeControlRegister(machine, a, c);
    case Op.cli:
      interruptFlag.poke(index, 0);
      return 0;
    case Op.sti:
      interruptFlag.poke(index, 1);
      return 0;
    case Op.pushfCli:
      interruptFlag.poke(index, 0);
      return flag;
    case Op.popfIf:
      interruptFlag.poke(index, a);
      return 0;
    default:
      interruptFlag.poke(index, a);
      if (b === 1) nmiBlocked.poke(index, 0);
      return 0;
  }
}

function generalProtection(machine: Machine): number {
  machine.fault.vector = VECTOR_GP;
  machine.fault.errorCode = 0;
  machine.fault.address = 0;
  return FAULTED;
}

function readMsr(machine: Machine, msr: number): number {
  const index = machine.cpu.index;
  if (msr === IA32_PKRS && machine.features.pks) {
    return machine.registers.pkrs.values[index] as number;
  }
  if (msr === IA32_EFER) return machine.registers.efer.values[index] as number;
  return generalProtection(machine);
}

function writeMsr(machine: Machine, msr: number, low: number, high: number): number {
  if (msr !== IA32_PKRS || !machine.features.pks || high !== 0) return generalProtection(machine);
  machine.registers.pkrs.poke(machine.cpu.index, low >>> 0);
  return 0;
}

function controlRegister(machine: Machine, number: number): Column {
  const { cr0, cr2, cr3, cr4 } = machine.registers;
  const column = [cr0, undefined, cr2, cr3, cr4][number];
  if (column === undefined)
    throw new RangeError(`CR${number}: a machine has CR0, CR2, CR3 and CR4`);
  return column;
}

function writeControlRegister(machine: Machine, number: number, value: number): number {
  const { features } = machine;
  if (number === 4) {
    if ((value & CR4_PKS) !== 0 && !features.pks) return generalProtection(machine);
    if ((value & CR4_PKE) !== 0 && !features.pku) return generalProtection(machine);
  }
  controlRegister(machine, number).poke(machine.cpu.index, value);
  if (number === 3) machine.cpu.tlb.flush(false);
  return 0;
}

function executeMemory(
  machine: Machine,
  op: number,
  a: number,
  b: number,
  c: number,
  d: number,
): number {
  switch (op) {
    case Op.load8:
      return loadBytes(machine, a, 1);
    case Op.load16:
      return loadBytes(machine, a, 2);
    case Op.load32:
      return loadBytes(machine, a, 4);
    case Op.load64:
      return loadBytes(machine, a, 8);
    case Op.store8:
      return storeBytes(machine, a, 1, c, 0);
    case Op.store16:
      return storeBytes(machine, a, 2, c, 0);
    case Op.store32:
      return storeBytes(machine, a, 4, c, 0);
    case Op.store64:
      return storeBytes(machine, a, 8, c, d);
    case Op.copy:
      return copyPages(machine, a, b, c);
    case Op.fill:
      return eachPage(machine, a, c, true, (chunk, offset, length) => {
        chunk.bytes.fill(b, offset, offset + length);
      });
    case Op.copyOut: {
      const into = machine.buffers[b] as Uint8Array;
      return eachPage(machine, a, c, false, (chunk, offset, length, done) => {
        into.set(chunk.bytes.subarray(offset, offset + length), d + done);
      });
    }
    default: {
      const source = machine.buffers[b] as Uint8Array;
      return eachPage(machine, a, c, true, (chunk, offset, length, done) => {
        chunk.bytes.set(source.subarray(d + done, d + done + length), offset);
      });
    }
  }
}

/** Before bytes change: what must know of it. */
function touch(machine: Machine, chunk: Chunk, offset: number, length: number): void {
  machine.journal?.bytes(chunk, offset, length);
  if (chunk.dirty !== null) machine.memory.markDirty(chunk, offset, length);
}

function loadBytes(machine: Machine, address: number, size: number): number {
  const { mmu } = machine;
  if (!mmu.translate(address, false)) return FAULTED;
  const chunk = mmu.chunk as Chunk;
  const offset = mmu.offset;
  if ((offset & (PAGE - 1)) + size > PAGE) return loadAcross(machine, address, size);
  let low = 0;
  for (let i = Math.min(size, 4) - 1; i >= 0; i--)
    low = low * 256 + (chunk.bytes[offset + i] as number);
  let high = 0;
  for (let i = size - 1; i >= 4; i--) high = high * 256 + (chunk.bytes[offset + i] as number);
  machine.resultHigh = high;
  return low;
}

/** A load over a page boundary: the first page is checked first. */
function loadAcross(machine: Machine, address: number, size: number): number {
  const bytes = new Uint8Array(8);
  const failed = eachPage(machine, address, size, false, (chunk, offset, length, done) => {
    bytes.set(chunk.bytes.subarray(offset, offset + length), done);
  });
  if (failed === FAULTED) return FAULTED;
  const view = new DataView(bytes.buffer);
  machine.resultHigh = view.getUint32(4, true);
  return view.getUint32(0, true);
}

function storeBytes(
  machine: Machine,
  address: number,
  size: number,
  low: number,
  high: number,
): number {
  return eachPage(machine, address, size, true, (chunk, offset, length, done) => {
    for (let i = 0; i < length; i++) {
      const at = done + i;
      chunk.bytes[offset + i] = at < 4 ? low >>> (at * 8) : high >>> ((at - 4) * 8);
    }
  });
}

/** Checks every page of a range, then does the work page by page: all or nothing. */
function eachPage(
  machine: Machine,
  address: number,
  length: number,
  write: boolean,
  work: (chunk: Chunk, offset: number, length: number, done: number) => void,
): number {
  const { mmu } = machine;
  if (!mmu.translate(address, write)) return FAULTED;
  const first = Math.min(length, PAGE - (mmu.offset & (PAGE - 1)));
  for (let done = first; done < length; done += PAGE) {
    if (!mmu.translate(address + done, write)) return FAULTED;
  }
  for (let done = 0; done < length; ) {
    mmu.translate(address + done, write);
    const chunk = mmu.chunk as Chunk;
    const offset = mmu.offset;
    const part = Math.min(length - done, PAGE - (offset & (PAGE - 1)));
    if (write) touch(machine, chunk, offset, part);
    work(chunk, offset, part, done);
    done += part;
  }
  return 0;
}

function copyPages(machine: Machine, to: number, from: number, length: number): number {
  const { mmu } = machine;
  for (let done = 0; done < length; ) {
    if (!mmu.translate(from + done, false)) return FAULTED;
    const source = mmu.chunk as Chunk;
    const at = mmu.offset;
    if (!mmu.translate(to + done, true)) return FAULTED;
    const target = mmu.chunk as Chunk;
    const part = Math.min(
      length - done,
      PAGE - (at & (PAGE - 1)),
      PAGE - (mmu.offset & (PAGE - 1)),
    );
    touch(machine, target, mmu.offset, part);
    target.bytes.set(source.bytes.subarray(at, at + part), mmu.offset);
    done += part;
  }
  return 0;
}

function executeOther(
  machine: Machine,
  op: number,
  a: number,
  b: number,
  c: number,
  d: number,
): number {
  switch (op) {
    case Op.readEntry: {
      const words = machine.memory.chunkAt(a).words;
      const at = (a % 0x20_0000) >>> 2;
      machine.resultHigh = (words[at + 1] as number) >>> 0;
      return (words[at] as number) >>> 0;
    }
    case Op.writeEntry:
      writeEntry(machine, a, c, d);
      return 0;
    case Op.fillEntries:
      return fillEntries(machine, a, b, c, d);
    case Op.invlpg:
      machine.cpu.tlb.invalidatePage(Math.floor(a / PAGE));
      return 0;
    case Op.flushTlb:
      machine.cpu.tlb.flush(a === 1);
      return 0;
    case Op.clwb:
      return writeBack(machine, a, b);
    case Op.sfence:
      machine.memory.fence();
      return 0;
    case Op.lock:
      machine.columns[a]?.poke(b, c);
      return 0;
    case Op.wait:
      return 0;
    case Op.choose: {
      const chooser = machine.choosers[a] as Chooser;
      const choice = chooser.alternatives(b)[0] as number;
      chooser.take(choice);
      return choice;
    }
    case Op.switchStack:
      return machine.switchStack(a);
    case Op.halt:
      return 0;
    default:
      throw new Error(
        `operation ${op} needs whoever runs the tasks: attach the kernel's scheduler`,
      );
  }
}

function writeEntry(machine: Machine, address: number, low: number, high: number): void {
  const chunk = machine.memory.chunkAt(address);
  const offset = address % 0x20_0000;
  machine.journal?.bytes(chunk, offset, 8);
  chunk.words[offset >>> 2] = low;
  chunk.words[(offset >>> 2) + 1] = high;
}

function fillEntries(
  machine: Machine,
  address: number,
  count: number,
  low: number,
  high: number,
): number {
  const step = (low & 0x80) !== 0 ? 0x20_0000 : PAGE;
  const flags = low & 0xfff;
  const key = entryKey(high);
  const noExecute = high >>> 31 === 1;
  let frame = entryFrame(low, high);
  for (let i = 0; i < count; i++) {
    const next = entryHigh(frame, key, noExecute);
    writeEntry(machine, address + i * 8, ((frame % 0x1_0000_0000) | flags) >>> 0, next);
    frame += step;
  }
  return 0;
}

/** CLWB is a read as far as rights go, and it is checked as one. */
function writeBack(machine: Machine, address: number, length: number): number {
  const { mmu, memory } = machine;
  for (let done = 0; done < length; ) {
    if (!mmu.translate(address + done, false)) return FAULTED;
    const chunk = mmu.chunk as Chunk;
    const part = Math.min(length - done, PAGE - (mmu.offset & (PAGE - 1)));
    memory.writeBack(chunk.index * 0x20_0000 + mmu.offset, part);
    done += part;
  }
  return 0;
}
