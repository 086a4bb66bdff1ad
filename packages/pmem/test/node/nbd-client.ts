// SPDX-License-Identifier: MIT
// A small NBD client: requests by promise, any number under way.

import { connect, type Socket } from 'node:net';
import { hello, type Reply, type RequestFields, request, takeReply } from '../nbd/messages.ts';

interface Waiting {
  readonly fields: RequestFields;
  readonly resolve: (reply: Reply | null) => void;
}

/** Bytes of greeting and of the replies to `hello()`. */
const HELLO_REPLIES = 18 + 32 + 20;

export class NbdClient {
  readonly socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #greeting = HELLO_REPLIES;
  #cookie = 0;
  readonly #waiting: Waiting[] = [];
  /** Once the server has hung up or is gone. */
  readonly closed: Promise<void>;

  /** @param address a path, or a port on the loopback interface */
  constructor(address: string | number) {
    this.socket = typeof address === 'string' ? connect(address) : connect(address, '127.0.0.1');
    this.socket.on('data', (chunk: Buffer) => this.#take(chunk));
    this.socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      this.socket.on('close', () => {
        for (const { resolve: settle } of this.#waiting.splice(0)) settle(null);
        resolve();
      });
    });
    this.socket.write(hello());
  }

  /** The reply, or null if the server went before it came. */
  ask(fields: RequestFields): Promise<Reply | null> {
    const asked = { ...fields, cookie: ++this.#cookie };
    if (this.socket.destroyed) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#waiting.push({ fields: asked, resolve });
      this.socket.write(request(asked));
    });
  }

  async end(): Promise<void> {
    this.socket.end();
    await this.closed;
  }

  #take(chunk: Buffer): void {
    const skipped = Math.min(this.#greeting, chunk.length);
    this.#greeting -= skipped;
    this.#bytes = Buffer.concat([this.#bytes, chunk.subarray(skipped)]);
    for (;;) {
      const [first] = this.#waiting;
      if (first === undefined) return;
      const reply = takeReply(this.#bytes, first.fields);
      if (reply === null) return;
      if (reply.cookie !== first.fields.cookie) throw new Error(`reply to ${reply.cookie}`);
      this.#bytes = this.#bytes.subarray(reply.size);
      this.#waiting.shift();
      first.resolve(reply);
    }
  }
}
