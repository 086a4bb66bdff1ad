// SPDX-License-Identifier: MIT
// Requests and replies (proto.md: "Transmission"), one request after the other.
//
// Nothing is kept of a payload but the part of a device page at its seam with the next chunk, and long requests
// go piece by piece, so a client takes a fixed amount of memory whatever it sends.

import { BlockStatus, EXTENTS_MAX } from './block-status.ts';
import type { ByteInput } from './byte-input.ts';
import { NBD_EINVAL, NbdCommand, NbdCommandFlag, REQUEST_SIZE } from './constants.ts';
import type { NbdExport } from './export.ts';
import type { NbdAgreement, NbdStep } from './handshake.ts';
import { Replies } from './replies.ts';
import { PIECE_MAX, type ReplyOutput } from './reply-output.ts';
import { NbdRequest } from './request.ts';

const PAGE = 4096;
/** Zeroes written in one go. */
const ZEROES_PIECE: number = 4 * 2 ** 20;
/** Work that one turn may do before others get theirs, in bytes or what takes as long. */
const TURN: number = 8 * 2 ** 20;
const FLUSH_COST: number = 2 ** 20;
const STATUS_COST: number = 4 * 2 ** 20;

const State = { header: 0, payload: 1, skip: 2, read: 3, zeroes: 4, status: 5, reply: 6 } as const;

export class Transmission {
  readonly #export: NbdExport;
  readonly #agreement: NbdAgreement;
  readonly #input: ByteInput;
  readonly #output: ReplyOutput;
  readonly #replies: Replies;
  readonly #request: NbdRequest = new NbdRequest();
  readonly #page: Uint8Array = new Uint8Array(PAGE);
  #status: BlockStatus | null = null;
  #state: number = State.header;
  #error = 0;
  /** Bytes of the request that are done, and of the page at hand that are in #page. */
  #done = 0;
  #held = 0;
  #turn = TURN;

  constructor(target: NbdExport, agreement: NbdAgreement, input: ByteInput, output: ReplyOutput) {
    this.#export = target;
    this.#agreement = agreement;
    this.#input = input;
    this.#output = output;
    this.#replies = new Replies(output, agreement.structuredReplies);
  }

  /** A new turn begins. */
  refresh(): void {
    this.#turn = TURN;
  }

  step(): NbdStep {
    if (this.#turn <= 0) return 'later';
    switch (this.#state) {
      case State.header:
        return this.#input.fetch(REQUEST_SIZE) ? this.#begin() : 'input';
      case State.payload:
        return this.#takePayload();
      case State.skip:
        return this.#skipPayload();
      case State.read:
        return this.#readPiece();
      case State.zeroes:
        return this.#zeroPiece();
      case State.status:
        return this.#blockStatus();
      default:
        return this.#reply();
    }
  }

  #begin(): NbdStep {
    const request = this.#request;
    if (!request.parse(this.#input.bytes, this.#input.at)) return 'closed';
    this.#done = 0;
    this.#turn -= PAGE;
    const error = request.check(this.#export, this.#agreement);
    if (request.command === NbdCommand.disconnect) return 'closed';
    if (request.command === NbdCommand.write && request.length > 0) {
      this.#error = error;
      this.#state = error === 0 ? State.payload : State.skip;
      return 'more';
    }
    return error === 0 ? this.#start() : this.#end(error);
  }

  /** A request without a payload. */
  #start(): NbdStep {
    const { command, fua } = this.#request;
    switch (command) {
      case NbdCommand.read:
        this.#state = State.read;
        return 'more';
      case NbdCommand.writeZeroes:
        this.#state = State.zeroes;
        return 'more';
      case NbdCommand.blockStatus:
        this.#state = State.status;
        return 'more';
      case NbdCommand.flush:
        return this.#flush();
      case NbdCommand.write:
      case NbdCommand.trim:
        // Trim is advice; what is trimmed may be read as before.
        return fua ? this.#flush() : this.#end(0);
      case NbdCommand.cache:
        return this.#end(0);
      default:
        return this.#end(NBD_EINVAL);
    }
  }

  #end(error: number): NbdStep {
    this.#error = error;
    this.#state = State.reply;
    return 'more';
  }

  #flush(): NbdStep {
    this.#turn -= FLUSH_COST;
    return this.#end(this.#export.flush());
  }

  #reply(): NbdStep {
    if (!this.#output.room(Replies.SHORT)) return 'output';
    this.#replies.status(this.#request, this.#error);
    this.#state = State.header;
    return 'more';
  }

  // ---- writes ----

  /** Writes what is here of a payload, always whole pages of the device: a page is never half new. */
  #takePayload(): NbdStep {
    const run = this.#input.run();
    if (run === 0) return 'input';
    const left = this.#request.length - this.#done;
    const position = this.#request.offset + this.#done;
    const inPage = Math.min(left, PAGE - (position % PAGE));
    if (this.#held > 0 || run < inPage) return this.#gatherPage(run, inPage);
    const part = run >= left ? left : run - ((position + run) % PAGE);
    this.#write(this.#input.bytes, this.#input.at, part);
    this.#input.consume(part);
    return this.#payloadDone();
  }

  #gatherPage(run: number, inPage: number): NbdStep {
    const part = Math.min(run, inPage - this.#held);
    const { bytes, at } = this.#input;
    this.#page.set(bytes.subarray(at, at + part), this.#held);
    this.#held += part;
    this.#input.consume(part);
    if (this.#held < inPage) return 'more';
    this.#held = 0;
    this.#write(this.#page, 0, inPage);
    return this.#payloadDone();
  }

  #write(from: Uint8Array, at: number, length: number): void {
    const { offset, fua } = this.#request;
    const last = this.#done + length === this.#request.length;
    const flushes = last && fua && this.#error === 0;
    const error = this.#export.write(offset + this.#done, from, at, length, flushes);
    if (this.#error === 0) this.#error = error;
    this.#done += length;
    this.#turn -= length + (flushes ? FLUSH_COST : 0);
  }

  #payloadDone(): NbdStep {
    return this.#done < this.#request.length ? 'more' : this.#end(this.#error);
  }

  #skipPayload(): NbdStep {
    const part = Math.min(this.#input.run(), this.#request.length - this.#done);
    if (part === 0) return 'input';
    this.#input.consume(part);
    this.#done += part;
    return this.#payloadDone();
  }

  // ---- reads, zeroes, block status ----

  #readPiece(): NbdStep {
    const request = this.#request;
    if (request.length === 0) return this.#end(0);
    const part = Math.min(request.length - this.#done, PIECE_MAX);
    if (!this.#output.room(part + Replies.SHORT)) return 'output';
    const header = this.#replies.dataHeader(this.#done);
    const { bytes, at } = this.#output;
    const error = this.#export.read(request.offset + this.#done, bytes, at + header, part);
    if (error !== 0) {
      // A simple reply has said "no error" already: the protocol leaves nothing but to hang up.
      return this.#replies.mayFail(this.#done) ? this.#end(error) : 'closed';
    }
    this.#replies.data(request, this.#done, part);
    this.#done += part;
    this.#turn -= part;
    if (this.#done === request.length) this.#state = State.header;
    return 'more';
  }

  #zeroPiece(): NbdStep {
    const { offset, length, fua } = this.#request;
    const position = offset + this.#done;
    // Pieces end where pages do.
    const part = Math.min(length - this.#done, ZEROES_PIECE - (position % PAGE));
    const error = part === 0 ? 0 : this.#export.writeZeroes(position, part);
    if (error !== 0) return this.#end(error);
    this.#done += part;
    this.#turn -= part;
    if (this.#done < length) return 'more';
    return fua ? this.#flush() : this.#end(0);
  }

  #blockStatus(): NbdStep {
    if (!this.#output.room(Replies.SHORT + EXTENTS_MAX * 8)) return 'output';
    this.#status ??= new BlockStatus(this.#export);
    const { offset, length, flags } = this.#request;
    const one = (flags & NbdCommandFlag.reqOne) !== 0;
    const { bytes, at } = this.#output;
    const error = this.#status.describe(offset, length, one, bytes, at + Replies.STATUS_HEADER);
    this.#turn -= Math.min(length, STATUS_COST);
    if (error !== 0) return this.#end(error);
    this.#replies.extents(this.#request, this.#status.extents);
    this.#state = State.header;
    return 'more';
  }
}
