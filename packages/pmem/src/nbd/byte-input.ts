// SPDX-License-Identifier: MIT
// What a client sent and nobody has looked at yet: chunks, read in place.

/** A stream of bytes over chunks of any size. Only a header that two chunks share is copied. */
export class ByteInput {
  /** Where the bytes of the last `fetch` are, or the next ones of a payload; good until the next call. */
  bytes: Uint8Array;
  at = 0;
  #chunk: Uint8Array;
  readonly #nothing: Uint8Array = new Uint8Array(0);
  #start = 0;
  readonly #queue: Uint8Array[] = [];
  // A header that came in parts, as far as it is here.
  #carry: Uint8Array = new Uint8Array(32);
  #held = 0;

  constructor() {
    this.bytes = this.#nothing;
    this.#chunk = this.#nothing;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    if (this.#start < this.#chunk.length) this.#queue.push(chunk);
    else {
      this.#chunk = chunk;
      this.#start = 0;
    }
  }

  /** Bytes that are here and not used. */
  get pending(): number {
    let count = this.#held + this.#chunk.length - this.#start;
    for (const chunk of this.#queue) count += chunk.length;
    return count;
  }

  /** Takes `length` bytes in one piece (see `bytes` and `at`), or nothing yet if they are not all here. */
  fetch(length: number): boolean {
    const start = this.#start;
    if (this.#held === 0 && this.#chunk.length - start >= length) {
      this.bytes = this.#chunk;
      this.at = start;
      this.#skip(length);
      return true;
    }
    return this.#gather(length);
  }

  #gather(length: number): boolean {
    if (this.#carry.length < length) {
      const longer = new Uint8Array(length);
      longer.set(this.#carry.subarray(0, this.#held));
      this.#carry = longer;
    }
    while (this.#held < length) {
      const part = Math.min(length - this.#held, this.#chunk.length - this.#start);
      if (part === 0) return false;
      this.#carry.set(this.#chunk.subarray(this.#start, this.#start + part), this.#held);
      this.#held += part;
      this.#skip(part);
    }
    this.#held = 0;
    this.bytes = this.#carry;
    this.at = 0;
    return true;
  }

  /** How many bytes of a payload are here in one piece, at `bytes` and `at`; `consume` takes them. */
  run(): number {
    this.bytes = this.#chunk;
    this.at = this.#start;
    return this.#chunk.length - this.#start;
  }

  consume(length: number): void {
    this.#skip(length);
  }

  /** Forgets everything. */
  clear(): void {
    this.bytes = this.#nothing;
    this.#chunk = this.#nothing;
    this.#start = 0;
    this.#queue.length = 0;
    this.#held = 0;
  }

  #skip(length: number): void {
    this.#start += length;
    if (this.#start < this.#chunk.length || this.#queue.length === 0) return;
    this.#chunk = this.#queue.shift() as Uint8Array;
    this.#start = 0;
  }
}
