// SPDX-License-Identifier: MIT
// What an NBD client says, as bytes; and what it is told, taken apart.

import {
  FLAG_FIXED_NEWSTYLE,
  FLAG_NO_ZEROES,
  NbdCommand,
  NbdOption,
  OPTION_MAGIC,
  REQUEST_MAGIC,
} from '../../src/nbd/constants.ts';

export interface RequestFields {
  readonly command: number;
  readonly flags?: number;
  readonly cookie?: number;
  readonly offset?: number;
  readonly length?: number;
  readonly payload?: Uint8Array;
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function u16be(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value);
}

function u32be(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

export function clientFlags(flags: number = FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES): Uint8Array {
  return u32be(flags);
}

export function option(number: number, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const [high, low] = OPTION_MAGIC;
  return concat(u32be(high), u32be(low), u32be(number), u32be(data.length), data);
}

/** Data of INFO and GO. */
export function exportQuery(name: string, infos: readonly number[] = []): Uint8Array {
  return concat(u32be(name.length), ascii(name), u16be(infos.length), ...infos.map(u16be));
}

/** Data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export function metaQuery(name: string, queries: readonly string[]): Uint8Array {
  const parts = queries.flatMap((query) => [u32be(query.length), ascii(query)]);
  return concat(u32be(name.length), ascii(name), u32be(queries.length), ...parts);
}

export function request(fields: RequestFields): Uint8Array {
  const { command, flags = 0, cookie = 1, offset = 0, payload } = fields;
  const head = new Uint8Array(28);
  const view = new DataView(head.buffer);
  view.setUint32(0, REQUEST_MAGIC);
  view.setUint16(4, flags);
  view.setUint16(6, command);
  view.setBigUint64(8, BigInt(cookie));
  view.setBigUint64(16, BigInt(offset));
  view.setUint32(24, fields.length ?? payload?.length ?? 0);
  return payload === undefined ? head : concat(head, payload);
}

/** Everything up to the first request. */
export function hello({ structured = false, blockStatus = false } = {}): Uint8Array {
  return concat(
    clientFlags(),
    ...(structured ? [option(NbdOption.structuredReply)] : []),
    ...(blockStatus ? [option(NbdOption.setMetaContext, metaQuery('', ['base:allocation']))] : []),
    option(NbdOption.go, exportQuery('')),
  );
}

export interface OptionReply {
  readonly option: number;
  readonly type: number;
  readonly data: Uint8Array;
}

/** Replies to options, to the end of the bytes. */
export function optionReplies(bytes: Uint8Array): OptionReply[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const replies: OptionReply[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (view.getBigUint64(at) !== 0x0003e889045565a9n) throw new Error(`no reply at ${at}`);
    const length = view.getUint32(at + 16);
    replies.push({
      option: view.getUint32(at + 8),
      type: view.getUint32(at + 12),
      data: bytes.slice(at + 20, at + 20 + length),
    });
    at += 20 + length;
  }
  return replies;
}

/** A whole reply to a request, whatever it was made of. */
export interface Reply {
  readonly cookie: number;
  readonly error: number;
  readonly data: Uint8Array;
  /** Lengths and states of a block status. */
  readonly extents: readonly (readonly [number, number])[];
  /** Bytes that it took. */
  readonly size: number;
}

/** The reply to a request at the start of the bytes, or null if it is not all there. */
export function takeReply(bytes: Uint8Array, asked: RequestFields): Reply | null {
  if (bytes.length < 16) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const magic = view.getUint32(0);
  if (magic === 0x668e33ef) return takeChunks(bytes, view, asked);
  if (magic !== 0x67446698) throw new Error(`no reply: ${magic.toString(16)}`);
  const error = view.getUint32(4);
  const length = asked.command === NbdCommand.read && error === 0 ? (asked.length ?? 0) : 0;
  if (bytes.length < 16 + length) return null;
  // A Buffer's slice would be a view of what the caller goes on using.
  const data = new Uint8Array(bytes.subarray(16, 16 + length));
  return { cookie: Number(view.getBigUint64(8)), error, data, extents: [], size: 16 + length };
}

function takeChunks(bytes: Uint8Array, view: DataView, asked: RequestFields): Reply | null {
  const reply = {
    cookie: 0,
    error: 0,
    data: new Uint8Array(0),
    extents: [] as [number, number][],
    size: 0,
  };
  for (let at = 0; ; at = reply.size) {
    if (bytes.length < at + 20) return null;
    reply.size = at + 20 + view.getUint32(at + 16);
    if (bytes.length < reply.size) return null;
    if (view.getUint32(at) !== 0x668e33ef) throw new Error(`no chunk at ${at}`);
    reply.cookie = Number(view.getBigUint64(at + 8));
    takeChunk(view, at, reply, asked);
    if (view.getUint16(at + 4) === 1) return reply;
  }
}

function takeChunk(
  view: DataView,
  at: number,
  reply: { error: number; data: Uint8Array; extents: [number, number][]; size: number },
  asked: RequestFields,
): void {
  const type = view.getUint16(at + 6);
  if (type === 0x8001) reply.error = view.getUint32(at + 20);
  if (type === 5) {
    for (let i = at + 24; i < reply.size; i += 8) {
      reply.extents.push([view.getUint32(i), view.getUint32(i + 4)]);
    }
  }
  if (type !== 1) return;
  const bytes = new Uint8Array(view.buffer, view.byteOffset + at + 28, reply.size - at - 28);
  // Only now: a request that is refused may have asked for gigabytes.
  if (reply.data.length === 0) reply.data = new Uint8Array(asked.length ?? 0);
  reply.data.set(bytes, Number(view.getBigUint64(at + 20)) - (asked.offset ?? 0));
}
