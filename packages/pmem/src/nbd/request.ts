// SPDX-License-Identifier: MIT
// One request, and whether it may be carried out.

import {
  NBD_EINVAL,
  NBD_ENOSPC,
  NBD_EPERM,
  NbdCommand,
  NbdCommandFlag,
  PAYLOAD_MAX,
  REQUEST_MAGIC,
} from './constants.ts';
import type { NbdExport } from './export.ts';
import type { NbdAgreement } from './handshake.ts';
import { u16, u32, u64 } from './wire.ts';

/** The request at hand: one object for all of a client's, filled again and again. */
export class NbdRequest {
  command = 0;
  flags = 0;
  cookieHigh = 0;
  cookieLow = 0;
  offset = 0;
  length = 0;

  /** Takes a request's bytes; false if they are none. */
  parse(bytes: Uint8Array, at: number): boolean {
    if (u32(bytes, at) !== REQUEST_MAGIC) return false;
    this.flags = u16(bytes, at + 4);
    this.command = u16(bytes, at + 6);
    this.cookieHigh = u32(bytes, at + 8);
    this.cookieLow = u32(bytes, at + 12);
    this.offset = u64(bytes, at + 16);
    this.length = u32(bytes, at + 24);
    return true;
  }

  get fua(): boolean {
    return (this.flags & NbdCommandFlag.fua) !== 0;
  }

  /** 0, or the errno that it is refused with. */
  check({ size, readOnly }: NbdExport, agreement: NbdAgreement): number {
    const { command, length } = this;
    if ((this.flags & ~allowedFlags(command)) !== 0) return NBD_EINVAL;
    const changes =
      command === NbdCommand.write ||
      command === NbdCommand.trim ||
      command === NbdCommand.writeZeroes;
    if (changes && readOnly) return NBD_EPERM;
    const carries = command === NbdCommand.read || command === NbdCommand.write;
    if (carries && length > PAYLOAD_MAX) return NBD_EINVAL;
    if (command === NbdCommand.blockStatus && (!agreement.blockStatus || length === 0)) {
      return NBD_EINVAL;
    }
    if (command === NbdCommand.flush || this.offset + length <= size) return 0;
    const grows = command === NbdCommand.write || command === NbdCommand.writeZeroes;
    return grows ? NBD_ENOSPC : NBD_EINVAL;
  }
}

/** FUA means nothing to some commands, and is no error of any. */
function allowedFlags(command: number): number {
  const { fua, noHole, reqOne } = NbdCommandFlag;
  if (command === NbdCommand.writeZeroes) return fua | noHole;
  return command === NbdCommand.blockStatus ? fua | reqOne : fua;
}
