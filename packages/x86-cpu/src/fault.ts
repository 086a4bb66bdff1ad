// SPDX-License-Identifier: MIT
// What software installs for events, and what an access that faulted reports.

import { formatAddress } from './address.ts';

/** How software answered a fault: 0 try again, 1 the exception table has a fixup. Anything else does not return. */
export const Outcome = { retry: 0, fixup: 1 } as const;

/**
 * The handlers that software installs, as the IDT does.
 *
 * Each is called on the interrupted stack after the hardware's push (what it saved is an argument, see
 * `SAVED_IF`; IF is now 0) and performs `Machine.iret` with it as its last operation.
 */
export interface EventHandlers {
  interrupt(vector: number, saved: number): void;
  nmi(saved: number): void;
  machineCheck(saved: number): void;
  /** Returns an {@link Outcome}. `fixup`: the instruction has an exception-table entry. */
  pageFault(errorCode: number, address: number, saved: number, fixup: boolean): number;
  /** `address`: of the operand where it is not canonical, as software finds out from the instruction; else 0. */
  generalProtection(errorCode: number, saved: number, fixup: boolean, address: number): number;
  /** #SS; without it `generalProtection` is called. */
  stackFault?(errorCode: number, saved: number, fixup: boolean): number;
  /** #UD; without it the machine shuts down. */
  invalidOpcode?(saved: number): number;
  /** #DF, which does not return to what was interrupted; without it the machine shuts down. */
  doubleFault?(saved: number): void;
}

/** The last fault of an access: valid right after an operation returned `FAULTED`. */
export interface Fault {
  vector: number;
  errorCode: number;
  /** Of a page fault, or of a non-canonical operand. Beyond ±2^53 (5-level paging only) it lacks its low 12 bits, which are `offset`. */
  address: number;
  offset?: number;
}

/** A fault that software could not be told of: the machine shuts down. SDM Vol. 3A §7.15, interrupt 8. */
export class TripleFault extends Error {
  override readonly name = 'TripleFault';
  readonly fault: Fault;

  constructor(fault: Fault, why = 'and no handler is installed: set machine.handlers first') {
    super(`vector ${fault.vector}, error code 0x${fault.errorCode.toString(16)}, ${why}`);
    this.fault = fault;
  }
}

/** How often an access is tried again before it is taken to be refused for ever. */
export const RETRIES_MAX: number = 1 << 13;

/** Software says of a fault again and again that it is settled, and the access is refused as before: a soft lockup. */
export class EndlessRetry extends Error {
  override readonly name = 'EndlessRetry';
  readonly fault: Fault;

  constructor(fault: Fault) {
    const { vector, errorCode, address } = fault;
    super(
      `an access to ${formatAddress(address)} was refused ${RETRIES_MAX} times (vector ${vector}, error code 0x${errorCode.toString(16)}) by a handler that changes nothing`,
    );
    this.fault = { ...fault };
  }
}
