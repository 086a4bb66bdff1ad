// SPDX-License-Identifier: MIT
// A session over an array, without a socket.

import { NBD_EIO } from '../../src/nbd/constants.ts';
import type { NbdExport } from '../../src/nbd/export.ts';
import type { NbdTransport } from '../../src/nbd/reply-output.ts';
import { BlockPool } from '../../src/nbd/reply-output.ts';
import { type NbdProgress, NbdSession } from '../../src/nbd/session.ts';
import { concat, hello, type Reply, type RequestFields, request, takeReply } from './messages.ts';

export class ArrayExport implements NbdExport {
  readonly name = 'disk';
  readonly description = 'an array';
  readonly size: number;
  readonly bytes: Uint8Array;
  readOnly = false;
  flushes = 0;
  /** Offset, length and FUA of each write. */
  readonly writes: [number, number, boolean][] = [];
  /** A byte that cannot be read or written. */
  bad = -1;

  constructor(size: number) {
    this.size = size;
    this.bytes = new Uint8Array(size);
  }

  read(offset: number, into: Uint8Array, at: number, length: number): number {
    if (this.#isBad(offset, length)) return NBD_EIO;
    into.set(this.bytes.subarray(offset, offset + length), at);
    return 0;
  }

  write(offset: number, from: Uint8Array, at: number, length: number, fua: boolean): number {
    this.writes.push([offset, length, fua]);
    if (this.#isBad(offset, length)) return NBD_EIO;
    this.bytes.set(from.subarray(at, at + length), offset);
    return 0;
  }

  writeZeroes(offset: number, length: number): number {
    this.bytes.fill(0, offset, offset + length);
    return 0;
  }

  flush(): number {
    this.flushes++;
    return 0;
  }

  #isBad(offset: number, length: number): boolean {
    return this.bad >= offset && this.bad < offset + length;
  }
}

/** A session whose output is kept; with `slow`, it takes what was sent only when told to. */
export class SessionRig {
  readonly target: ArrayExport;
  readonly session: NbdSession;
  progress: NbdProgress;
  slow = false;
  readonly #unsent: (() => void)[] = [];
  #out: Uint8Array[] = [];

  constructor(
    size: number = 2 ** 20,
    target: ArrayExport = new ArrayExport(size),
    blocks: BlockPool = new BlockPool(),
  ) {
    this.target = target;
    const transport: NbdTransport = {
      send: (bytes, sent) => {
        this.#out.push(bytes.slice());
        if (this.slow) this.#unsent.push(sent);
        else sent();
      },
      resume: () => {
        this.progress = this.session.pump();
      },
    };
    this.session = new NbdSession(target, transport, blocks);
    this.progress = this.session.pump();
  }

  /** Batches that the client has not taken. */
  get unsent(): number {
    return this.#unsent.length;
  }

  /** The client takes one batch. */
  take(): void {
    this.#unsent.shift()?.();
  }

  /** Hands in bytes, gives every turn that is asked for, and returns all the output so far. */
  say(...parts: readonly Uint8Array[]): Uint8Array {
    for (const part of parts) this.progress = this.session.receive(part);
    this.pump();
    return this.output();
  }

  /** Hands in bytes, and no more. */
  receive(part: Uint8Array): void {
    this.progress = this.session.receive(part);
  }

  /** Gives every turn that is asked for. */
  pump(): void {
    while (this.progress === 'later') this.progress = this.session.pump();
  }

  output(): Uint8Array {
    const [only] = this.#out;
    const all = this.#out.length === 1 && only !== undefined ? only : concat(...this.#out);
    this.#out = [];
    return all;
  }

  /** Through the handshake. */
  greet(options: { structured?: boolean; blockStatus?: boolean } = {}): this {
    this.say(hello(options));
    return this;
  }

  /** One request and its reply. */
  ask(fields: RequestFields): Reply {
    const reply = takeReply(this.say(request(fields)), fields);
    if (reply === null) throw new Error('no reply');
    return reply;
  }
}
