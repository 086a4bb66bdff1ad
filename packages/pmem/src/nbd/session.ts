// SPDX-License-Identifier: MIT
// One client: bytes in, bytes out, and nothing else.

import { ByteInput } from './byte-input.ts';
import type { NbdExport } from './export.ts';
import { Handshake, type NbdStep } from './handshake.ts';
import { BlockPool, type NbdTransport, ReplyOutput } from './reply-output.ts';
import { Transmission } from './transmission.ts';

/**
 * What a session waits for: bytes (`input`), replies to be sent (`output`: the transport's `resume` is called),
 * or its next turn (`later`: call `pump` once others had theirs). `closed`: it wants nothing any more.
 */
export type NbdProgress = Exclude<NbdStep, 'more'>;

/**
 * The server's side of one connection, as a state machine over chunks of bytes.
 *
 * It knows no sockets: whoever has the connection hands in what arrives, as long as the answer is `input`, and
 * sends what the session gives to the transport. What a client sends never makes it throw, and never takes
 * more memory than a few blocks.
 *
 * @example
 * const session = new NbdSession(exported, { send: (bytes, sent) => socket.write(bytes, sent), resume: () => go() });
 * session.pump(); // => 'input': the greeting is on its way
 * session.receive(chunk);
 */
export class NbdSession {
  readonly #export: NbdExport;
  readonly #input: ByteInput = new ByteInput();
  readonly #output: ReplyOutput;
  readonly #handshake: Handshake;
  #transmission: Transmission | null = null;
  #closed = false;

  /** @param blocks shared by the sessions of a server */
  constructor(target: NbdExport, transport: NbdTransport, blocks: BlockPool = new BlockPool()) {
    this.#export = target;
    this.#output = new ReplyOutput(transport, blocks);
    this.#handshake = new Handshake(target, this.#input, this.#output);
  }

  /** Whether the handshake is over. */
  get established(): boolean {
    return this.#transmission !== null;
  }

  /** Bytes that were received and not used yet. */
  get pendingBytes(): number {
    return this.#input.pending;
  }

  /** Takes bytes, which must stay as they are until the answer is `input` again. */
  receive(chunk: Uint8Array): NbdProgress {
    if (this.#closed) return 'closed';
    this.#input.push(chunk);
    return this.pump();
  }

  /** Goes on as far as it can, and sends the replies in one batch. */
  pump(): NbdProgress {
    if (this.#closed) return 'closed';
    this.#transmission?.refresh();
    let step: NbdStep;
    do step = this.#step();
    while (step === 'more');
    this.#output.flush();
    if (step === 'closed') this.close();
    return step;
  }

  /** Ends it: nothing more is taken or sent. */
  close(): void {
    this.#closed = true;
    this.#input.clear();
    this.#output.close();
  }

  #step(): NbdStep {
    if (this.#transmission !== null) return this.#transmission.step();
    const step = this.#handshake.step();
    if (this.#handshake.done) {
      const { agreement } = this.#handshake;
      this.#transmission = new Transmission(this.#export, agreement, this.#input, this.#output);
    }
    return step;
  }
}
