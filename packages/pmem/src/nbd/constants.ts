// SPDX-License-Identifier: MIT
// Numbers of the NBD protocol, with the names that its document gives them (proto.md: "Values").

/** "NBDMAGIC" and "IHAVEOPT", as two words each. */
export const INIT_MAGIC: readonly [number, number] = [0x4e42444d, 0x41474943];
export const OPTION_MAGIC: readonly [number, number] = [0x49484156, 0x454f5054];
/** NBD_REP_MAGIC */
export const REPLY_MAGIC: readonly [number, number] = [0x0003e889, 0x045565a9];
export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const STRUCTURED_REPLY_MAGIC = 0x668e33ef;

// Handshake flags, the server's and the client's alike.
export const FLAG_FIXED_NEWSTYLE: number = 1 << 0;
export const FLAG_NO_ZEROES: number = 1 << 1; // the 124 zeroes after the reply to EXPORT_NAME are left out

/** NBD_OPT_… */
export const NbdOption = {
  exportName: 1,
  abort: 2,
  list: 3,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

/** NBD_REP_…; errors have the highest bit. */
export const NbdReply = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: 0x80000001,
  invalid: 0x80000003,
  unknown: 0x80000006,
  tooBig: 0x80000009,
} as const;

/** NBD_INFO_… */
export const NbdInfo = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

/** NBD_FLAG_…, of an export. */
export const NbdFlag = {
  hasFlags: 0x1,
  readOnly: 0x2,
  sendFlush: 0x4,
  sendFua: 0x8,
  sendTrim: 0x20,
  sendWriteZeroes: 0x40,
  canMultiConn: 0x100, // a flush on one connection covers what was written on all
  sendCache: 0x400,
} as const;

/** NBD_CMD_… */
export const NbdCommand = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

/** NBD_CMD_FLAG_… */
export const NbdCommandFlag = { fua: 0x1, noHole: 0x2, reqOne: 0x8 } as const;

/** NBD_REPLY_TYPE_… */
export const NbdChunk = {
  none: 0,
  offsetData: 1,
  blockStatus: 5,
  error: 0x8001,
} as const;

/** NBD_REPLY_FLAG_DONE: the last chunk of a reply. */
export const CHUNK_DONE = 1;

/** NBD_STATE_ZERO of base:allocation: reads give zeroes. */
export const STATE_ZERO: number = 1 << 1;

// What a request ends with: the errnos that the protocol knows, the same numbers as Linux's.
export const NBD_EPERM = 1;
export const NBD_EIO = 5;
export const NBD_EINVAL = 22;
export const NBD_ENOSPC = 28;

/** Bytes of a request and of a simple reply without data. */
export const REQUEST_SIZE = 28;
export const SIMPLE_REPLY_SIZE = 16;
export const STRUCTURED_REPLY_SIZE = 20;

/** Largest read or write that is carried out: what the protocol tells clients to count on. */
export const PAYLOAD_MAX: number = 32 * 2 ** 20;
/** Largest option that is looked at; a longer one is skipped and refused. */
export const OPTION_MAX: number = 32 * 2 ** 10;
