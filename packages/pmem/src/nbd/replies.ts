// SPDX-License-Identifier: MIT
// Simple and structured replies, put straight into the output.

import {
  CHUNK_DONE,
  NbdChunk,
  NbdCommand,
  SIMPLE_REPLY_MAGIC,
  SIMPLE_REPLY_SIZE,
  STRUCTURED_REPLY_MAGIC,
  STRUCTURED_REPLY_SIZE,
} from './constants.ts';
import { CONTEXT_ID } from './handshake.ts';
import type { ReplyOutput } from './reply-output.ts';
import type { NbdRequest } from './request.ts';
import { putU16, putU32, putU64 } from './wire.ts';

/** Writes replies; the caller has made room. */
export class Replies {
  /** Bytes of any reply without its data. */
  static readonly SHORT = 64;
  /** Bytes before the descriptors of a block status. */
  static readonly STATUS_HEADER: number = STRUCTURED_REPLY_SIZE + 4;
  readonly #output: ReplyOutput;
  readonly #structured: boolean;

  constructor(output: ReplyOutput, structured: boolean) {
    this.#output = output;
    this.#structured = structured;
  }

  /** A request's end, without data. */
  status(request: NbdRequest, error: number): void {
    const { command } = request;
    // A read and a block status are never answered by a simple reply once structured ones are agreed on.
    const structured =
      this.#structured && (command === NbdCommand.read || command === NbdCommand.blockStatus);
    if (!structured) {
      this.#simple(request, error);
      return;
    }
    const { bytes, at } = this.#output;
    this.#chunk(request, error === 0 ? NbdChunk.none : NbdChunk.error, true, error === 0 ? 0 : 6);
    if (error === 0) return;
    putU32(bytes, at + STRUCTURED_REPLY_SIZE, error);
    putU16(bytes, at + STRUCTURED_REPLY_SIZE + 4, 0);
  }

  /** Bytes before a piece of data, of which `done` came before. */
  dataHeader(done: number): number {
    if (this.#structured) return STRUCTURED_REPLY_SIZE + 8;
    return done === 0 ? SIMPLE_REPLY_SIZE : 0;
  }

  /** Whether a read can still end with an error. */
  mayFail(done: number): boolean {
    return this.#structured || done === 0;
  }

  /** A piece of data that is in its place behind the header. */
  data(request: NbdRequest, done: number, length: number): void {
    if (this.#structured) {
      const { bytes, at } = this.#output;
      this.#chunk(request, NbdChunk.offsetData, done + length === request.length, 8 + length);
      putU64(bytes, at + STRUCTURED_REPLY_SIZE, request.offset + done);
      return;
    }
    if (done === 0) this.#simple(request, 0);
    this.#output.at += length;
  }

  /** A block status whose descriptors are in their place. */
  extents(request: NbdRequest, count: number): void {
    const { bytes, at } = this.#output;
    this.#chunk(request, NbdChunk.blockStatus, true, 4 + count * 8);
    putU32(bytes, at + STRUCTURED_REPLY_SIZE, CONTEXT_ID);
  }

  #simple(request: NbdRequest, error: number): void {
    const { bytes, at } = this.#output;
    putU32(bytes, at, SIMPLE_REPLY_MAGIC);
    putU32(bytes, at + 4, error);
    putU32(bytes, at + 8, request.cookieHigh);
    putU32(bytes, at + 12, request.cookieLow);
    this.#output.at += SIMPLE_REPLY_SIZE;
  }

  #chunk(request: NbdRequest, type: number, done: boolean, length: number): void {
    const { bytes, at } = this.#output;
    putU32(bytes, at, STRUCTURED_REPLY_MAGIC);
    putU16(bytes, at + 4, done ? CHUNK_DONE : 0);
    putU16(bytes, at + 6, type);
    putU32(bytes, at + 8, request.cookieHigh);
    putU32(bytes, at + 12, request.cookieLow);
    putU32(bytes, at + 16, length);
    this.#output.at += STRUCTURED_REPLY_SIZE + length;
  }
}
