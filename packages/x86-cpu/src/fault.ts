// SPDX-License-Identifier: MIT
// What software installs for events, and what an access that faulted reports.

/** How software answered a fault: 0 try again, 1 the exception table has a fixup. Anything else does not return. */
export const Outcome = { retry: 0, fixup: 1 } as const;

/**
 * The handlers that software installs, as the IDT does.
 *
 * Each is called on the interrupted stack after the hardware's push (the old IF is an argument, IF is now
 * 0) and performs `Machine.iret` as its last operation.
 */
export interface EventHandlers {
  interrupt(vector: number, interruptFlag: number): void;
  nmi(interruptFlag: number): void;
  machineCheck(interruptFlag: number): void;
  /** Returns an {@link Outcome}. `fixup`: the instruction has an exception-table entry. */
  pageFault(errorCode: number, address: number, interruptFlag: number, fixup: boolean): number;
  generalProtection(errorCode: number, interruptFlag: number, fixup: boolean): number;
}

/** The last fault of an access: valid right after an operation returned `FAULTED`. */
export interface Fault {
  vector: number;
  errorCode: number;
  address: number;
}

/** A fault with no software to handle it: the machine stops. */
export class TripleFault extends Error {
  override readonly name = 'TripleFault';
  readonly fault: Fault;

  constructor(fault: Fault) {
    super(
      `vector ${fault.vector}, error code 0x${fault.errorCode.toString(16)}, and no handler is installed: set machine.handlers first`,
    );
    this.fault = fault;
  }
}
