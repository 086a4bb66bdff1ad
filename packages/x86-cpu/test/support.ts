// SPDX-License-Identifier: MIT
// Machines and handlers for the tests of this package.

import {
  type EventHandlers,
  FAULTED,
  Machine,
  type MachineOptions,
  Op,
  Outcome,
  PageTables,
} from '../src/index.ts';

/** Where test mappings lie: page 0 of the kernel half's direct map, as Linux has it. */
export const BASE = -0x7780_0000_0000;

/** A machine with empty page tables loaded. */
export function withTables(options: MachineOptions = {}): { machine: Machine; tables: PageTables } {
  const machine = new Machine({ memory: 16 * 1024 * 1024, ...options });
  const tables = new PageTables(machine, 0x10000);
  machine.writeCr(3, tables.root);
  return { machine, tables };
}

/** Performs an operation without delivery: null, or the vector and error code of its fault. */
export function attempt(
  machine: Machine,
  kind: number,
  a = 0,
  b = 0,
  c = 0,
  d = 0,
): { vector: number; code: number; address: number } | null {
  if (machine.execute(kind, a, b, c, d) !== FAULTED) return null;
  const { vector, errorCode, address } = machine.fault;
  return { vector, code: errorCode, address };
}

/** The error code of a load's page fault, or null. */
export function readFault(machine: Machine, address: number): number | null {
  return attempt(machine, Op.load32, address)?.code ?? null;
}

/** The error code of a store's page fault, or null. */
export function writeFault(machine: Machine, address: number): number | null {
  return attempt(machine, Op.store32, address, 0, 1)?.code ?? null;
}

/** Handlers that write down what arrives and IRET at once. */
export function recordingHandlers(machine: Machine, log: string[]): EventHandlers {
  const done = (name: string, saved: number, nmi = 0): void => {
    log.push(name);
    machine.iret(saved, nmi);
  };
  return {
    interrupt: (vector, saved) => done(`interrupt ${vector}`, saved),
    nmi: (saved) => done('nmi', saved, 1),
    machineCheck: (saved) => done('machine check', saved),
    pageFault: (code, address, saved) => {
      done(`#PF 0x${code.toString(16)} at ${address}`, saved);
      return Outcome.fixup;
    },
    generalProtection: (code, saved) => {
      done(`#GP ${code}`, saved);
      return Outcome.fixup;
    },
    stackFault: (code, saved) => {
      done(`#SS ${code}`, saved);
      return Outcome.fixup;
    },
    invalidOpcode: (saved) => {
      done('#UD', saved);
      return Outcome.fixup;
    },
  };
}
