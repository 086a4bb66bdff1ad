// SPDX-License-Identifier: MIT
// What goes to a client: a few blocks that are filled, sent and filled again.

/** Largest piece of data in one go; a longer read is answered in several. */
export const PIECE_MAX: number = 128 * 1024;
/** Bytes of a block: two pieces and their headers. */
const BLOCK_SIZE: number = 2 * PIECE_MAX + 256;
/** Blocks of one client: what it has not taken yet is never more than these. */
export const BLOCKS_MAX = 3;

/** Where replies go. */
export interface NbdTransport {
  /** Sends bytes, which stay as they are until `sent` is called. */
  send(bytes: Uint8Array, sent: () => void): void;
  /** Called when replies had to wait and need not any more: `pump` again. */
  resume(): void;
}

/** Blocks kept for the next client. */
const KEPT_MAX = 16;

/** Blocks for the sessions of a server: what one client gave back, the next one takes. */
export class BlockPool {
  /** Blocks that sessions hold now. */
  taken = 0;
  readonly #free: Uint8Array[] = [];

  take(): Uint8Array {
    this.taken++;
    return this.#free.pop() ?? new Uint8Array(BLOCK_SIZE);
  }

  give(bytes: Uint8Array): void {
    this.taken--;
    if (this.#free.length < KEPT_MAX) this.#free.push(bytes);
  }
}

interface Block {
  readonly bytes: Uint8Array;
  readonly sent: () => void;
}

/** Collects replies, so that a batch of them is one write. */
export class ReplyOutput {
  /** Where the next reply goes, once `room` has said yes; the caller moves `at` on. */
  bytes: Uint8Array = new Uint8Array(0);
  at = 0;
  readonly #transport: NbdTransport;
  readonly #pool: BlockPool;
  readonly #free: Block[] = [];
  #made = 0;
  #current: Block | null = null;
  #waiting = false;
  #closed = false;

  constructor(transport: NbdTransport, pool: BlockPool) {
    this.#transport = transport;
    this.#pool = pool;
  }

  /** Whether `length` bytes (at most a piece and its header) fit now; if not, the transport will say when. */
  room(length: number): boolean {
    if (this.#current !== null) {
      if (this.at + length <= BLOCK_SIZE) return true;
      this.flush();
    }
    const block = this.#free.pop() ?? this.#make();
    if (block === null) {
      this.#waiting = true;
      return false;
    }
    this.#current = block;
    this.bytes = block.bytes;
    return true;
  }

  /** Sends what there is. */
  flush(): void {
    const block = this.#current;
    if (block === null || this.at === 0) return;
    const batch = block.bytes.subarray(0, this.at);
    this.#current = null;
    this.at = 0;
    this.#transport.send(batch, block.sent);
  }

  #make(): Block | null {
    if (this.#made === BLOCKS_MAX) return null;
    this.#made++;
    const block: Block = { bytes: this.#pool.take(), sent: () => this.#sent(block) };
    return block;
  }

  /** Gives the blocks back; those that are being sent follow once they are. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#current !== null) this.#free.push(this.#current);
    this.#current = null;
    for (const { bytes } of this.#free.splice(0)) this.#pool.give(bytes);
  }

  #sent(block: Block): void {
    if (this.#closed) {
      this.#pool.give(block.bytes);
      return;
    }
    this.#free.push(block);
    if (!this.#waiting) return;
    this.#waiting = false;
    this.#transport.resume();
  }
}
