// SPDX-License-Identifier: MIT
// Loads, stores and bulk transfers through the MMU.

import type { AccessKind } from './access.ts';
import type { Chunk } from './chunk.ts';
import type { Mmu } from './mmu.ts';
import { FAULTED } from './operation.ts';
import type { MachineState } from './state.ts';

const PAGE = 4096;
const IN_PAGE = PAGE - 1;

/** What executing an operation needs besides the state. */
export interface ExecutingState extends MachineState {
  readonly mmu: Mmu;
}

// Bytes of a scalar access, between the pages that it touches.
const scratch = new Uint8Array(8);
const scratchView = new DataView(scratch.buffer);

/** Before bytes change: what must know of it. */
export function touch(state: MachineState, chunk: Chunk, offset: number, length: number): void {
  state.journal?.bytes(chunk, offset, length);
  if (chunk.dirty !== null) state.memory.markDirty(chunk, offset, length);
}

/** Loads 1 to 8 bytes: the low half, the high half in `resultHigh`. */
export function load(state: ExecutingState, address: number, size: number): number {
  const { mmu } = state;
  if ((address & IN_PAGE) + size > PAGE) return loadAcross(state, address, size);
  if (!mmu.translate(address, false)) return FAULTED;
  mmu.enterPiece(address);
  return pickUp(state, mmu.chunk as Chunk, mmu.offset, size);
}

function pickUp(state: MachineState, chunk: Chunk, offset: number, size: number): number {
  const { words, bytes } = chunk;
  if ((offset & 3) === 0 && size >= 4) {
    const at = offset >>> 2;
    state.resultHigh = size === 8 ? (words[at + 1] as number) >>> 0 : 0;
    return (words[at] as number) >>> 0;
  }
  scratchView.setUint32(0, 0);
  scratchView.setUint32(4, 0);
  for (let i = 0; i < size; i++) scratch[i] = bytes[offset + i] as number;
  return scratchResult(state);
}

function scratchResult(state: MachineState): number {
  state.resultHigh = scratchView.getUint32(4, true);
  return scratchView.getUint32(0, true);
}

/** A load over a page boundary: the first page is checked first. */
function loadAcross(state: ExecutingState, address: number, size: number): number {
  if (!canonicalEnd(state, address, size)) return FAULTED;
  const result = new Uint8Array(8);
  const failed = eachPage(state, address, size, false, (chunk, offset, length, done) => {
    result.set(chunk.bytes.subarray(offset, offset + length), done);
  });
  if (failed === FAULTED) return FAULTED;
  scratch.set(result);
  return scratchResult(state);
}

/** An access that runs over the end of the canonical half is #GP before anything else is looked at. */
function canonicalEnd(state: ExecutingState, address: number, size: number): boolean {
  return state.mmu.checkCanonical(Math.floor((address + size - 1) / PAGE), address);
}

/** Stores 1 to 8 bytes. */
export function store(
  state: ExecutingState,
  address: number,
  size: number,
  low: number,
  high: number,
): number {
  const { mmu } = state;
  if ((address & IN_PAGE) + size > PAGE) return storeAcross(state, address, size, low, high);
  if (!mmu.translate(address, true)) return FAULTED;
  mmu.enterPiece(address);
  const chunk = mmu.chunk as Chunk;
  touch(state, chunk, mmu.offset, size);
  putDown(chunk, mmu.offset, size, low, high);
  return 0;
}

function putDown(chunk: Chunk, offset: number, size: number, low: number, high: number): void {
  const { words, bytes } = chunk;
  if ((offset & 3) === 0 && size >= 4) {
    words[offset >>> 2] = low;
    if (size === 8) words[(offset >>> 2) + 1] = high;
    return;
  }
  for (let i = 0; i < size; i++) {
    bytes[offset + i] = i < 4 ? low >>> (i * 8) : high >>> ((i - 4) * 8);
  }
}

function storeAcross(
  state: ExecutingState,
  address: number,
  size: number,
  low: number,
  high: number,
): number {
  if (!canonicalEnd(state, address, size)) return FAULTED;
  return eachPage(state, address, size, true, (chunk, offset, length, done) => {
    for (let i = 0; i < length; i++) {
      const at = done + i;
      chunk.bytes[offset + i] = at < 4 ? low >>> (at * 8) : high >>> ((at - 4) * 8);
    }
  });
}

/** MOVNTI: a store that leaves no line in the caches. What may be stored to may be read, so CLWB finds it. */
export function storeNonTemporal(
  state: ExecutingState,
  address: number,
  size: number,
  low: number,
  high: number,
): number {
  const result = store(state, address, size, low, high);
  return result === FAULTED ? FAULTED : writeBack(state, address, size);
}

/** A locked add of 4 or 8 bytes: the old value is the result. It is a write even where it reads first. */
export function exchangeAdd(
  state: ExecutingState,
  address: number,
  size: number,
  low: number,
  high: number,
): number {
  const across = (address & IN_PAGE) + size > PAGE;
  if (across && !canonicalEnd(state, address, size)) return FAULTED;
  if (!state.mmu.translate(address, true)) return FAULTED;
  if (across && !state.mmu.translate(address + size - 1, true)) return FAULTED;
  const old = load(state, address, size);
  if (old === FAULTED) return FAULTED;
  const oldHigh = state.resultHigh;
  const sum = old + (low >>> 0);
  if (
    store(state, address, size, sum >>> 0, oldHigh + high + (sum > 0xffff_ffff ? 1 : 0)) === FAULTED
  )
    return FAULTED;
  state.resultHigh = oldHigh;
  return old;
}

/** Fetches an instruction byte. */
export function fetchByte(state: ExecutingState, address: number): number {
  const page = Math.floor(address / PAGE);
  if (!state.mmu.translatePage(page, address & IN_PAGE, 'fetch', false)) return FAULTED;
  return state.mmu.chunk?.bytes[state.mmu.offset] as number;
}

/** A scalar access to a page number and offset: where a byte address would not be exact. Within one page. */
function wideAccess(
  state: ExecutingState,
  page: number,
  offset: number,
  size: number,
  kind: AccessKind,
): Chunk | null {
  if (offset + size > PAGE) {
    throw new RangeError('an access beyond ±2^53 must stay within its page: split it');
  }
  return state.mmu.translatePage(page, offset, kind, false) ? state.mmu.chunk : null;
}

/** Loads through {@link wideAccess}. */
export function loadWide(
  state: ExecutingState,
  page: number,
  offset: number,
  size: number,
): number {
  const chunk = wideAccess(state, page, offset, size, 'read');
  return chunk === null ? FAULTED : pickUp(state, chunk, state.mmu.offset, size);
}

/** Stores through {@link wideAccess}. */
export function storeWide(
  state: ExecutingState,
  page: number,
  offset: number,
  size: number,
  low: number,
  high: number,
): number {
  const chunk = wideAccess(state, page, offset, size, 'write');
  if (chunk === null) return FAULTED;
  touch(state, chunk, state.mmu.offset, size);
  putDown(chunk, state.mmu.offset, size, low, high);
  return 0;
}

/** Checks every page of a range, then does the work page by page: all or nothing. */
export function eachPage(
  state: ExecutingState,
  address: number,
  length: number,
  write: boolean,
  work: (chunk: Chunk, offset: number, length: number, done: number) => void,
): number {
  const { mmu } = state;
  if (!checkPages(mmu, address, length, write)) return FAULTED;
  for (let done = 0; done < length; ) {
    if (!mmu.translate(address + done, write)) return FAULTED;
    const chunk = mmu.chunk as Chunk;
    const offset = mmu.offset;
    const part = Math.min(length - done, PAGE - (offset & IN_PAGE));
    if (write) touch(state, chunk, offset, part);
    work(chunk, offset, part, done);
    done += part;
  }
  return 0;
}

/** Whether every page of a range allows the access; one that lies in a single page is left to the work. */
function checkPages(mmu: Mmu, address: number, length: number, write: boolean): boolean {
  const first = PAGE - (address & IN_PAGE);
  if (length <= first) return true;
  if (!mmu.translate(address, write)) return false;
  for (let done = first; done < length; done += PAGE) {
    if (!mmu.translate(address + done, write)) return false;
  }
  return true;
}

/** The common copy, from within one page to within another; false if it is another or misses the TLB. */
export function copyInPage(
  state: ExecutingState,
  to: number,
  from: number,
  length: number,
): boolean {
  const { mmu } = state;
  if (length <= 0 || (to & IN_PAGE) + length > PAGE || (from & IN_PAGE) + length > PAGE)
    return false;
  if (!mmu.hit(from, false)) return false;
  const source = mmu.chunk as Chunk;
  const at = mmu.offset;
  if (!mmu.hit(to, true)) return false;
  const target = mmu.chunk as Chunk;
  const { offset } = mmu;
  touch(state, target, offset, length);
  if (source === target) target.bytes.copyWithin(offset, at, at + length);
  else target.bytes.set(source.bytes.subarray(at, at + length), offset);
  return true;
}

/** The common copy to a host buffer, from within one page; false if it is another or misses the TLB. */
export function readInPage(
  state: ExecutingState,
  from: number,
  into: Uint8Array,
  at: number,
  length: number,
): boolean {
  const { mmu } = state;
  if (length <= 0 || (from & IN_PAGE) + length > PAGE || !mmu.hit(from, false)) return false;
  const { bytes } = mmu.chunk as Chunk;
  into.set(bytes.subarray(mmu.offset, mmu.offset + length), at);
  return true;
}

/** The common copy from a host buffer, into one page; false if it is another or misses the TLB. */
export function writeInPage(
  state: ExecutingState,
  to: number,
  source: Uint8Array,
  at: number,
  length: number,
): boolean {
  const { mmu } = state;
  if (length <= 0 || (to & IN_PAGE) + length > PAGE || !mmu.hit(to, true)) return false;
  const chunk = mmu.chunk as Chunk;
  touch(state, chunk, mmu.offset, length);
  // A view is not free to make.
  const whole = at === 0 && length === source.length;
  chunk.bytes.set(whole ? source : source.subarray(at, at + length), mmu.offset);
  return true;
}

/** The same past the caches: the lines are on their way once their bytes have changed. */
export function writeInPageNonTemporal(
  state: ExecutingState,
  to: number,
  source: Uint8Array,
  at: number,
  length: number,
): boolean {
  if (!writeInPage(state, to, source, at, length)) return false;
  const { mmu, memory } = state;
  memory.writeBackIn(mmu.chunk as Chunk, mmu.offset, length);
  return true;
}

/** The common CLWB, within one page; false if it is another or misses the TLB. */
export function writeBackInPage(state: ExecutingState, address: number, length: number): boolean {
  const { mmu } = state;
  if (length <= 0 || (address & IN_PAGE) + length > PAGE || !mmu.hit(address, false)) return false;
  state.memory.writeBackIn(mmu.chunk as Chunk, mmu.offset, length);
  return true;
}

/** Copies within memory, checked page by page: what was copied before a fault stays copied. */
export function copyPages(
  state: ExecutingState,
  to: number,
  from: number,
  length: number,
  nonTemporal: boolean,
): number {
  const { mmu } = state;
  for (let done = 0; done < length; ) {
    if (!mmu.translate(from + done, false)) return FAULTED;
    const source = mmu.chunk as Chunk;
    const at = mmu.offset;
    if (!mmu.translate(to + done, true)) return FAULTED;
    const target = mmu.chunk as Chunk;
    const offset = mmu.offset;
    const part = Math.min(length - done, PAGE - (at & IN_PAGE), PAGE - (offset & IN_PAGE));
    touch(state, target, offset, part);
    if (source === target) target.bytes.copyWithin(offset, at, at + part);
    else target.bytes.set(source.bytes.subarray(at, at + part), offset);
    if (nonTemporal) state.memory.writeBackIn(target, offset, part);
    done += part;
  }
  return 0;
}

/** CLWB is a read as far as rights go, and it is checked as one. */
export function writeBack(state: ExecutingState, address: number, length: number): number {
  const { mmu, memory } = state;
  for (let done = 0; done < length; ) {
    if (!mmu.translate(address + done, false)) return FAULTED;
    const chunk = mmu.chunk as Chunk;
    const part = Math.min(length - done, PAGE - (mmu.offset & IN_PAGE));
    memory.writeBack(chunk.index * 0x20_0000 + mmu.offset, part);
    done += part;
  }
  return 0;
}
