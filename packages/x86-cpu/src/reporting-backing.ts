// SPDX-License-Identifier: MIT
// A backing that may fail, as hardware fails: by a report.

import type { Backing } from './chunk.ts';

/** Bytes that are tried again alone where a larger read fails. */
const SALVAGE_SIZE = 4096;

/** Who hears of errors of a backing. */
export interface BackingErrors {
  /** Bytes that cannot be read; they are 0 in memory. Called within the operation that touched their chunk. */
  poisoned(offset: number, length: number): void;
  /** What the backing threw. */
  failed(error: unknown): void;
}

/**
 * A backing whose errors are reports, and never end an operation of the machine: code that a thrown error left
 * half-way would hold its locks and windows for ever. Use it for whatever may fail, as a file.
 *
 * A read keeps what can be read, page by page; lines that cannot be written wait for the next fence.
 *
 * @example
 * const poisoned = [];
 * const read = (offset, into) => {
 *   if (offset + into.length > 4096) throw new Error('cut short');
 *   into.fill(7);
 * };
 * const errors = { poisoned: (offset, length) => void poisoned.push([offset, length]), failed() {} };
 * const backing = new ReportingBacking({ read, write() {}, flush() {} }, errors);
 * const bytes = new Uint8Array(3 * 4096);
 * backing.read(0, bytes);
 * poisoned; // => [[4096, 8192]]
 * bytes[0]; // => 7
 */
export class ReportingBacking implements Backing {
  readonly #inner: Backing & { flush(): void };
  readonly #errors: BackingErrors;
  #flushFailed = false;

  constructor(inner: Backing & { flush(): void }, errors: BackingErrors) {
    this.#inner = inner;
    this.#errors = errors;
  }

  read(offset: number, into: Uint8Array): void {
    try {
      this.#inner.read(offset, into);
    } catch (error) {
      this.#errors.failed(error);
      this.#salvage(offset, into);
    }
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#inner.write(offset, bytes);
  }

  writeFailed(error: unknown): void {
    this.#errors.failed(error);
  }

  /** Whether what was written is proof against power loss. Once not, never again: nobody knows what was lost. */
  flush(): boolean {
    try {
      this.#inner.flush();
    } catch (error) {
      this.#errors.failed(error);
      this.#flushFailed = true;
    }
    return !this.#flushFailed;
  }

  #salvage(offset: number, into: Uint8Array): void {
    let run = 0;
    for (let at = 0; at < into.length; at += SALVAGE_SIZE) {
      if (!this.#tryRead(offset + at, into.subarray(at, at + SALVAGE_SIZE))) {
        run += SALVAGE_SIZE;
        continue;
      }
      if (run > 0) this.#errors.poisoned(offset + at - run, run);
      run = 0;
    }
    if (run > 0) this.#errors.poisoned(offset + into.length - run, run);
  }

  #tryRead(offset: number, into: Uint8Array): boolean {
    try {
      this.#inner.read(offset, into);
      return true;
    } catch {
      into.fill(0);
      return false;
    }
  }
}
