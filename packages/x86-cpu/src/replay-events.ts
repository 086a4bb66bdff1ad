// SPDX-License-Identifier: MIT
// Replay of cases in which the processor reads a gate or pushes a frame: descriptor tables for the machine.

import { NO_TABLE } from './cpu.ts';
import { type Fault, Outcome, TripleFault } from './fault.ts';
import type { Machine } from './machine.ts';
import { VECTOR_PF } from './registers.ts';
import type { VectorAccess } from './vector-access.ts';
import { tableOf } from './vector-state.ts';
import { VectorOutcome } from './vectors.ts';

// Virtual addresses in the 2 MiB after the page under test, mapped by one supervisor leaf with key 0.
const TABLES_OFFSET = 0x20_0000;
const TSS_OFFSET = TABLES_OFFSET + 0x4000;
const STACK_OFFSET = TABLES_OFFSET + 0x8000;
/** The tables' own frame. */
const FRAME = 0xa0_0000;
const VECTOR = 0x80;
const GATE_BYTES = 16;

/** Gates, stacks and handlers. */
export class ReplayEvents {
  readonly #machine: Machine;
  readonly #bytes: DataView;
  #delivered = false;
  #first: Fault | null = null;

  constructor(machine: Machine) {
    this.#machine = machine;
    this.#bytes = new DataView(machine.memory.chunkAt(FRAME).bytes.buffer);
    machine.handlers = {
      interrupt: () => {
        this.#delivered = true;
      },
      nmi: () => {},
      machineCheck: () => {},
      pageFault: (errorCode, address) => {
        this.#first ??= { vector: VECTOR_PF, errorCode, address };
        return Outcome.retry;
      },
      generalProtection: () => Outcome.retry,
    };
  }

  /** Sends the interrupt of a case: byte 0 of its record. */
  run({ action, cpl }: VectorAccess, page: number): number {
    const machine = this.#machine;
    const { registers } = machine;
    registers.cpl.poke(0, 0);
    this.#map(page);
    this.#delivered = false;
    this.#first = null;
    // Vector 0x80's gate is the first of the page under test; the ones below lie on the page before it.
    const idt = action === 'gate' ? page - VECTOR * GATE_BYTES : page + TABLES_OFFSET;
    this.#writeTables(page, action === 'push' ? page + 0x800 : page + STACK_OFFSET);
    registers.idtr.poke(0, idt);
    registers.tr.poke(0, page + TSS_OFFSET);
    registers.rsp.poke(0, page + STACK_OFFSET);
    registers.cpl.poke(0, cpl);
    try {
      machine.deliverInterrupt(VECTOR);
    } catch (error) {
      if (!(error instanceof TripleFault)) throw error;
      this.#first ??= error.fault;
    }
    for (const column of [registers.idtr, registers.tr, registers.rsp]) column.poke(0, NO_TABLE);
    if (this.#delivered) return VectorOutcome.done;
    const first = this.#first;
    if (first === null) return VectorOutcome.generalProtection;
    machine.fault.address = first.address;
    return VectorOutcome.pageFault + first.errorCode;
  }

  /** The address that CR2 should hold after a fault. */
  expected({ action }: VectorAccess, page: number): number {
    return action === 'push' ? page + 0x7f8 : page;
  }

  /** A 2 MiB leaf for the tables, and a 4 KiB one for the page before the page under test. */
  #map(page: number): void {
    const machine = this.#machine;
    const directory = ((page / 0x20_0000) & 0x1ff) * 8;
    const flags = 0x63; // P, RW, A, D
    machine.writeEntry(tableOf(2) + directory + 8, (FRAME | flags | 0x80) >>> 0, 0);
    machine.writeEntry(tableOf(2) + directory - 8, (FRAME | flags | 0x80) >>> 0, 0);
    machine.flushTlb(true);
  }

  #writeTables(page: number, rsp0: number): void {
    const view = this.#bytes;
    // Both IDTs end in the same 2 MiB frame: one at its start, one before the page under test, at its end.
    for (const at of [0, 0x20_0000 - VECTOR * GATE_BYTES]) {
      for (const vector of [8, VECTOR_PF, VECTOR]) {
        if (at + vector * GATE_BYTES >= 0x20_0000) continue;
        // Faults are taken on a stack of their own, IST 1.
        this.#writeGate(at + vector * GATE_BYTES, vector === VECTOR ? 0 : 1);
      }
    }
    this.#writeQuad(TSS_OFFSET - TABLES_OFFSET + 4, rsp0);
    this.#writeQuad(TSS_OFFSET - TABLES_OFFSET + 0x24, page + STACK_OFFSET - 0x1000);
    // The gate on the page under test.
    const data = this.#machine.memory.chunkAt(0x60_0000).bytes;
    data.fill(0, 0, GATE_BYTES);
    for (let i = 0; i < 8; i++) data[i] = view.getUint8(VECTOR * GATE_BYTES + i);
  }

  /** A present interrupt gate; where it leads does not matter. */
  #writeGate(at: number, ist: number): void {
    this.#bytes.setUint32(at, 0x10 << 16, true);
    this.#bytes.setUint32(at + 4, 0x8e00 | ist, true);
    this.#bytes.setUint32(at + 8, 0, true);
    this.#bytes.setUint32(at + 12, 0, true);
  }

  #writeQuad(at: number, value: number): void {
    this.#bytes.setUint32(at, value % 0x1_0000_0000, true);
    this.#bytes.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
  }
}
