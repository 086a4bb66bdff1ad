// SPDX-License-Identifier: MIT
// The fixed newstyle handshake (proto.md: "Fixed newstyle negotiation").

import type { ByteInput } from './byte-input.ts';
import {
  FLAG_FIXED_NEWSTYLE,
  FLAG_NO_ZEROES,
  INIT_MAGIC,
  NbdFlag,
  NbdInfo,
  NbdOption,
  NbdReply,
  OPTION_MAGIC,
  OPTION_MAX,
  PAYLOAD_MAX,
  REPLY_MAGIC,
} from './constants.ts';
import type { NbdExport } from './export.ts';
import { exportQuery, metaQuery } from './option-data.ts';
import type { ReplyOutput } from './reply-output.ts';
import { putText, putU16, putU32, putU64, textOf, u32 } from './wire.ts';

/** How far a step got: go on, wait for bytes or for room, let others run, or the end. */
export type NbdStep = 'more' | 'input' | 'output' | 'later' | 'closed';

/** What was agreed on. */
export interface NbdAgreement {
  structuredReplies: boolean;
  /** base:allocation may be asked for. */
  blockStatus: boolean;
}

const CONTEXT = 'base:allocation';
/** The number that base:allocation has in replies. */
export const CONTEXT_ID = 1;
/** Bytes that the replies to one option take at most. */
const OPTION_ROOM = 2048;

const State = { greeting: 0, flags: 1, option: 2, data: 3, skip: 4, done: 5 } as const;

export class Handshake {
  readonly agreement: NbdAgreement = { structuredReplies: false, blockStatus: false };
  readonly #export: NbdExport;
  readonly #input: ByteInput;
  readonly #output: ReplyOutput;
  #state: number = State.greeting;
  #zeroes = true;
  #option = 0;
  /** Bytes of the option's data that are still to come. */
  #length = 0;

  constructor(target: NbdExport, input: ByteInput, output: ReplyOutput) {
    this.#export = target;
    this.#input = input;
    this.#output = output;
  }

  /** Whether requests come from here on. */
  get done(): boolean {
    return this.#state === State.done;
  }

  step(): NbdStep {
    if (!this.#output.room(OPTION_ROOM)) return 'output';
    switch (this.#state) {
      case State.greeting:
        return this.#greet();
      case State.flags:
        return this.#input.fetch(4) ? this.#takeFlags() : 'input';
      case State.option:
        return this.#input.fetch(16) ? this.#takeOption() : 'input';
      case State.data:
        return this.#input.fetch(this.#length) ? this.#obey() : 'input';
      default:
        return this.#skip();
    }
  }

  #greet(): NbdStep {
    const { bytes, at } = this.#output;
    putPair(bytes, at, INIT_MAGIC);
    putPair(bytes, at + 8, OPTION_MAGIC);
    putU16(bytes, at + 16, FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES);
    this.#output.at += 18;
    this.#state = State.flags;
    return 'more';
  }

  #takeFlags(): NbdStep {
    const flags = u32(this.#input.bytes, this.#input.at);
    if ((flags & ~(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES)) !== 0) return 'closed';
    this.#zeroes = (flags & FLAG_NO_ZEROES) === 0;
    this.#state = State.option;
    return 'more';
  }

  #takeOption(): NbdStep {
    const { bytes, at } = this.#input;
    if (u32(bytes, at) !== OPTION_MAGIC[0] || u32(bytes, at + 4) !== OPTION_MAGIC[1]) {
      return 'closed';
    }
    this.#option = u32(bytes, at + 8);
    this.#length = u32(bytes, at + 12);
    this.#state = this.#length > OPTION_MAX ? State.skip : State.data;
    return 'more';
  }

  #skip(): NbdStep {
    const part = Math.min(this.#length, this.#input.run());
    if (part === 0) return 'input';
    this.#input.consume(part);
    this.#length -= part;
    if (this.#length > 0) return 'more';
    if (this.#option === NbdOption.exportName) return 'closed';
    this.#reply(NbdReply.tooBig);
    return this.#next();
  }

  #next(): NbdStep {
    this.#state = State.option;
    return 'more';
  }

  #obey(): NbdStep {
    switch (this.#option) {
      case NbdOption.exportName:
        return this.#exportName();
      case NbdOption.abort:
        this.#reply(NbdReply.ack);
        return 'closed';
      case NbdOption.list:
        this.#list();
        return this.#next();
      case NbdOption.info:
      case NbdOption.go:
        return this.#info();
      case NbdOption.structuredReply:
        this.#structuredReply();
        return this.#next();
      case NbdOption.listMetaContext:
      case NbdOption.setMetaContext:
        this.#metaContext();
        return this.#next();
      default:
        this.#reply(NbdReply.unsupported);
        return this.#next();
    }
  }

  #isOurs(name: string): boolean {
    return name === '' || name === this.#export.name;
  }

  /** The one option that has no way to say no. */
  #exportName(): NbdStep {
    const { bytes: sent, at: from } = this.#input;
    if (!this.#isOurs(textOf(sent, from, this.#length))) return 'closed';
    const { bytes, at } = this.#output;
    putU64(bytes, at, this.#export.size);
    putU16(bytes, at + 8, exportFlags(this.#export));
    this.#output.at += 10;
    if (this.#zeroes) {
      bytes.fill(0, at + 10, at + 134);
      this.#output.at += 124;
    }
    this.#state = State.done;
    return 'more';
  }

  #list(): void {
    if (this.#length !== 0) {
      this.#reply(NbdReply.invalid);
      return;
    }
    const { name } = this.#export;
    const at = this.#reply(NbdReply.server, 4 + name.length);
    putU32(this.#output.bytes, at, name.length);
    putText(this.#output.bytes, at + 4, name);
    this.#reply(NbdReply.ack);
  }

  #info(): NbdStep {
    const query = exportQuery(this.#input.bytes, this.#input.at, this.#length);
    if (query === null) this.#reply(NbdReply.invalid);
    else if (!this.#isOurs(query.name)) this.#reply(NbdReply.unknown);
    else {
      this.#describe(query.infos);
      this.#reply(NbdReply.ack);
      if (this.#option === NbdOption.go) {
        this.#state = State.done;
        return 'more';
      }
    }
    return this.#next();
  }

  #describe(infos: ReadonlySet<number>): void {
    const { name, description, size } = this.#export;
    const { bytes } = this.#output;
    const at = this.#infoReply(NbdInfo.export, 10);
    putU64(bytes, at, size);
    putU16(bytes, at + 8, exportFlags(this.#export));
    if (infos.has(NbdInfo.name)) putText(bytes, this.#infoReply(NbdInfo.name, name.length), name);
    if (infos.has(NbdInfo.description)) {
      putText(bytes, this.#infoReply(NbdInfo.description, description.length), description);
    }
    if (!infos.has(NbdInfo.blockSize)) return;
    const sizes = this.#infoReply(NbdInfo.blockSize, 12);
    putU32(bytes, sizes, 1);
    putU32(bytes, sizes + 4, 4096);
    putU32(bytes, sizes + 8, PAYLOAD_MAX);
  }

  #structuredReply(): void {
    if (this.#length !== 0) {
      this.#reply(NbdReply.invalid);
      return;
    }
    this.agreement.structuredReplies = true;
    this.#reply(NbdReply.ack);
  }

  #metaContext(): void {
    const sets = this.#option === NbdOption.setMetaContext;
    // Whatever was set before is not any more, also if this one is refused.
    if (sets) this.agreement.blockStatus = false;
    const query = metaQuery(this.#input.bytes, this.#input.at, this.#length);
    if (query === null || !this.agreement.structuredReplies) {
      this.#reply(NbdReply.invalid);
      return;
    }
    if (!this.#isOurs(query.name)) {
      this.#reply(NbdReply.unknown);
      return;
    }
    const { queries } = query;
    const lists = !sets && (queries.length === 0 || queries.includes('base:'));
    if (lists || queries.includes(CONTEXT)) {
      const at = this.#reply(NbdReply.metaContext, 4 + CONTEXT.length);
      putU32(this.#output.bytes, at, sets ? CONTEXT_ID : 0);
      putText(this.#output.bytes, at + 4, CONTEXT);
      if (sets) this.agreement.blockStatus = true;
    }
    this.#reply(NbdReply.ack);
  }

  /** Puts a reply to the option; where its data goes. */
  #reply(type: number, length = 0): number {
    const { bytes, at } = this.#output;
    putPair(bytes, at, REPLY_MAGIC);
    putU32(bytes, at + 8, this.#option);
    putU32(bytes, at + 12, type);
    putU32(bytes, at + 16, length);
    this.#output.at += 20 + length;
    return at + 20;
  }

  #infoReply(info: number, length: number): number {
    const at = this.#reply(NbdReply.info, 2 + length);
    putU16(this.#output.bytes, at, info);
    return at + 2;
  }
}

/** What clients are told that they may send. */
function exportFlags({ readOnly }: NbdExport): number {
  const { hasFlags, sendFlush, sendFua, sendCache, canMultiConn } = NbdFlag;
  const common = hasFlags | sendFlush | sendFua | sendCache | canMultiConn;
  return readOnly ? common | NbdFlag.readOnly : common | NbdFlag.sendTrim | NbdFlag.sendWriteZeroes;
}

function putPair(bytes: Uint8Array, at: number, [high, low]: readonly [number, number]): void {
  putU32(bytes, at, high);
  putU32(bytes, at + 4, low);
}
