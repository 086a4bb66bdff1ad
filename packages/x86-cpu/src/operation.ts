// SPDX-License-Identifier: MIT
// The operations of the machine: everything that two contexts can see is touched by one of these.

/**
 * Kinds of machine operation. The operands a, b, c, d of each are in the trailing phrase.
 *
 * Kinds below `Op.boundary` are *local*: they concern only the context that performs them, so no event is
 * delivered before them.
 */
export const Op = {
  getLocal: 0, // column, index: a value that is constant for the running context (`current`)
  mark: 1, // mark id, begin (1) or end (0), argument: opens or closes a window that checkers know by name
  boundary: 2, // first kind with a boundary before it; not itself an operation
  get: 2, // column, index
  set: 3, // column, index, value
  add: 4, // column, index, addend: read-modify-write, the new value is the result
  exchange: 5, // column, index, value: the old value is the result
  compareExchange: 6, // column, index, expected, value: the old value is the result
  testAndSetBit: 7, // column, index, bit: the old bit is the result
  testAndClearBit: 8, // column, index, bit: the old bit is the result
  thisCpuGet: 9, // column: the executing CPU is the index, resolved at the operation, as %gs is
  thisCpuSet: 10, // column, -, value
  thisCpuAdd: 11, // column, -, addend: one instruction, the new value is the result
  rdmsr: 12, // MSR
  wrmsr: 13, // MSR, -, low 32 bits, high 32 bits
  readCr: 14, // control register number
  writeCr: 15, // control register number, -, value, 1: bit 63 of a value for CR3
  cli: 16,
  sti: 17,
  pushfCli: 18, // local_irq_save: the old IF is the result
  popfIf: 19, // local_irq_restore: IF
  iret: 20, // what the event saved (bit 0 IF), 1 if it ends an NMI
  load8: 21, // address
  load16: 22, // address
  load32: 23, // address
  load64: 24, // address: the low half is the result, the high half in `Machine.resultHigh`
  store8: 25, // address, -, value
  store16: 26, // address, -, value
  store32: 27, // address, -, value
  store64: 28, // address, -, low half, high half
  copy: 29, // destination address, source address, bytes
  fill: 30, // address, byte, bytes
  copyOut: 31, // address, host buffer handle, bytes, offset in the buffer
  copyIn: 32, // address, host buffer handle, bytes, offset in the buffer
  readEntry: 33, // physical address: low half, `Machine.resultHigh`
  writeEntry: 34, // physical address, -, low half, high half
  fillEntries: 35, // physical address, entries, low half, high half: one range of leaves, page frames ascending
  invlpg: 36, // address
  flushTlb: 37, // 1: global pages too; the CPU plus 1, or 0: the executing one
  clwb: 38, // address, bytes, which instruction (`Flush`): write back the lines of the range
  sfence: 39,
  lock: 40, // column, index, value: waits until the cell is 0, then sets it: one step
  wait: 41, // column, index, value: goes on when the cell equals the value
  switchStack: 42, // task: leaves this stack; continues when a switch to this task is made
  choose: 43, // chooser, argument: software's alternatives, one is taken and is the result
  halt: 44, // waits for an interrupt
  sendIpi: 45, // CPU, vector: the event is pending there
  rdpkru: 46, // ECX
  wrpkru: 47, // ECX, -, EAX, EDX
  stac: 48,
  clac: 49,
  invpcid: 50, // type, PCID, address
  fetch: 51, // address: the instruction byte there
  xadd32: 52, // address, -, addend: locked read-modify-write, the old value is the result
  xadd64: 53, // address, -, low half, high half: as load64
  loadSegment: 54, // address of a descriptor: an implicit supervisor access
  lidt: 55, // base of the interrupt descriptor table, -1 for none
  lgdt: 56, // base of the global descriptor table, -1 for none
  ltr: 57, // base of the task-state segment, -1 for none
  setStack: 58, // stack pointer, -1 for none
  startCpu: 59, // CPU, value for its CR3: INIT and start-up IPI, and the start-up code's way to 64-bit mode
  retry: 60, // column, index, value: goes on when the cell no longer equals the value
  syscall: 61, // CPL 3 to 0, with IF and AC clear
  retryAny: 62, // number of a list of cells and what they held: goes on when any of them no longer holds it
} as const;

/** One of the values of {@link Op}. */
export type OpKind = (typeof Op)[keyof typeof Op];

/** Set in an operation's kind: the instruction has an exception-table entry. */
export const EXTABLE = 0x80;

/** Set in an operation's kind: the access goes to memory that may need a page fault first (a user buffer). */
export const FAULTABLE = 0x100;

/** Set in a scalar access's kind: it goes through the stack segment, so a non-canonical address is #SS. */
export const STACK = 0x200;

/** Set in a scalar load's or store's kind: a is a page number and b the offset in the page. */
export const WIDE = 0x400;

/**
 * Set in the kind of `store32`, `store64`, `copy` or `copyIn`: the store goes past the caches, so its lines are on
 * their way to persistent media without a CLWB. SDM Vol. 1 §10.4.6.2.
 */
export const NON_TEMPORAL = 0x800;

/** The instructions that write a line back, as an operand of `Op.clwb`. */
export const Flush = { clwb: 0, clflushopt: 1, clflush: 2 } as const;

/** The kind without its flags. */
export const KIND_MASK = 0x7f;

/** As the index of `getLocal`: the executing CPU, resolved at the operation. */
export const THIS_CPU = -1;

/** Result of {@link Machine.execute} when the access faulted: see `Machine.fault`. Never a value of a cell. */
export const FAULTED = -0x10000000000000;

/** Result of an access whose fault was fixed up through the exception table. Never a value of a cell. */
export const FIXED_UP = -0x10000000000001;

/**
 * Whoever is attached to the machine: a tracer, a source of events, the explorer.
 *
 * `operate` is called in place of each operation and gives its result; to perform the operation it calls
 * `Machine.execute`.
 */
export interface OperationHook {
  operate(kind: number, a: number, b: number, c: number, d: number): number;
}

/** Names of operation kinds, for traces. */
export const opNames: readonly string[] = (() => {
  const names: string[] = [];
  for (const [name, kind] of Object.entries(Op)) if (name !== 'boundary') names[kind] = name;
  return Object.freeze(names);
})();

const FLUSH_NAMES: readonly string[] = Object.keys(Flush);

const NON_TEMPORAL_NAMES: Readonly<Record<number, string>> = {
  [Op.store32]: 'movnti32',
  [Op.store64]: 'movnti64',
  [Op.copy]: 'copyNonTemporal',
  [Op.copyIn]: 'copyInNonTemporal',
};

/**
 * The name of an operation by its kind with flags and its operand c: that of the method of `Machine`. Use it where
 * `opNames`, which knows no flags, would call CLFLUSHOPT `clwb` and MOVNTI `store32`.
 *
 * @example
 * operationKindName(Op.clwb, Flush.clflushopt); // => 'clflushopt'
 * operationKindName(Op.store32 | NON_TEMPORAL); // => 'movnti32'
 */
export function operationKindName(kind: number, c = 0): string {
  const op = kind & KIND_MASK;
  const special =
    op === Op.clwb ? FLUSH_NAMES[c] : (kind & NON_TEMPORAL) !== 0 && NON_TEMPORAL_NAMES[op];
  return special || (opNames[op] ?? `operation ${op}`);
}
