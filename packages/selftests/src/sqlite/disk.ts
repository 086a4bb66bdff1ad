// SPDX-License-Identifier: MIT
// What the files of a database lie on.

/** A block of durable bytes. Results are 0 or a negative errno. */
export interface Disk {
  readonly size: number;
  read(offset: number, into: Uint8Array): number;
  write(offset: number, from: Uint8Array): number;
  /** Everything written before is durable after. */
  flush(): number;
}

/** A disk in host memory, with nothing between SQLite and the bytes. */
export function arrayDisk(bytes: Uint8Array): Disk {
  return {
    size: bytes.length,
    read(offset, into) {
      into.set(bytes.subarray(offset, offset + into.length));
      return 0;
    },
    write(offset, from) {
      bytes.set(from, offset);
      return 0;
    },
    flush: () => 0,
  };
}
