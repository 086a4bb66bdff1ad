// SPDX-License-Identifier: MIT
// A synchronous SQLite VFS over a volume: one database, one journal. https://sqlite.org/vfs.html

import type { Sqlite3Static, WasmPointer } from '@sqlite.org/sqlite-wasm';
import { Prng } from '../prng.ts';
import { ExtentFull, type Volume, type VolumeFile } from './volume.ts';

/** Name of the database on every volume. */
export const DATABASE_NAME = 'demo.db';

const SECTOR_SIZE = 512;
/** 2000-01-01 as a Julian day: the guest has no clock. */
const JULIAN_DAY = 2_451_544.5;

/** An installed VFS. */
export interface VolumeVfs {
  readonly name: string;
  /** The first error that a method met; SQLite itself gets an I/O error. */
  readonly failure: () => Error | null;
  /** Frees SQLite's side of it; the database must be closed. */
  dispose(): void;
}

type Installation = Parameters<Sqlite3Static['vfs']['installVfs']>[0];
type VfsMethods = NonNullable<Installation['vfs']>['methods'];
type IoMethods = NonNullable<Installation['io']>['methods'];

/** The declarations put this on instances; it is on the class. */
interface StructClass {
  readonly structInfo: { readonly sizeof: number };
}

/** Ours return plain status numbers; SQLite's declarations list every status by name. */
type MethodTable = Readonly<Record<string, (...args: number[]) => unknown>>;

class Methods {
  readonly #sqlite3: Sqlite3Static;
  readonly #volume: Volume;
  readonly #files = new Map<WasmPointer, VolumeFile>();
  readonly #io: WasmPointer;
  readonly #random: Prng;
  failure: Error | null = null;

  constructor(sqlite3: Sqlite3Static, volume: Volume, io: WasmPointer, seed: number) {
    this.#sqlite3 = sqlite3;
    this.#volume = volume;
    this.#io = io;
    this.#random = new Prng(seed);
  }

  /** Runs a method's body; what it throws becomes a status, since nothing may unwind SQLite's own frames. */
  #guard(status: number, body: () => number): number {
    try {
      return body();
    } catch (error) {
      this.failure ??= error as Error;
      return error instanceof ExtentFull ? this.#sqlite3.capi.SQLITE_FULL : status;
    }
  }

  #named(name: WasmPointer): VolumeFile | null {
    const text = name === 0 ? null : this.#sqlite3.wasm.cstrToJs(name);
    if (text === DATABASE_NAME) return this.#volume.database;
    return text === `${DATABASE_NAME}-journal` ? this.#volume.journal : null;
  }

  #file(pointer: WasmPointer): VolumeFile {
    const file = this.#files.get(pointer);
    if (file === undefined) throw new Error('SQLite used a file that is not open');
    return file;
  }

  #bytes(pointer: WasmPointer, length: number): Uint8Array {
    return this.#sqlite3.wasm.heap8u().subarray(pointer, pointer + length);
  }

  #pokeSize(out: WasmPointer, size: number): void {
    const { wasm } = this.#sqlite3;
    wasm.poke(out, size >>> 0, 'i32');
    wasm.poke(out + 4, Math.floor(size / 2 ** 32), 'i32');
  }

  vfs(): MethodTable {
    const { capi, wasm } = this.#sqlite3;
    return {
      xOpen: (
        _vfs: WasmPointer,
        name: WasmPointer,
        pointer: WasmPointer,
        flags: number,
        out: WasmPointer,
      ) => {
        const file = this.#named(name);
        if (file === null) return capi.SQLITE_CANTOPEN;
        if (!file.exists && (flags & capi.SQLITE_OPEN_CREATE) === 0) return capi.SQLITE_CANTOPEN;
        if (!file.exists) this.#volume.setExists(file, true);
        this.#files.set(pointer, file);
        // sqlite3_file's first member is the table of its methods.
        wasm.poke(pointer, this.#io, 'i32');
        if (out !== 0) wasm.poke(out, flags, 'i32');
        return 0;
      },
      xDelete: (_vfs: WasmPointer, name: WasmPointer, syncDirectory: number) =>
        this.#guard(capi.SQLITE_IOERR_DELETE, () => {
          const file = this.#named(name);
          if (file === null || !file.exists) return capi.SQLITE_IOERR_DELETE_NOENT;
          this.#volume.setExists(file, false);
          if (syncDirectory !== 0) this.#volume.sync();
          return 0;
        }),
      xAccess: (_vfs: WasmPointer, name: WasmPointer, _flags: number, out: WasmPointer) => {
        wasm.poke(out, this.#named(name)?.exists === true ? 1 : 0, 'i32');
        return 0;
      },
      xFullPathname: (_vfs: WasmPointer, name: WasmPointer, room: number, out: WasmPointer) =>
        wasm.cstrncpy(out, name, room) < room ? 0 : capi.SQLITE_CANTOPEN,
      xRandomness: (_vfs: WasmPointer, length: number, out: WasmPointer) => {
        const bytes = this.#bytes(out, length);
        for (let i = 0; i < length; i++) bytes[i] = this.#random.next();
        return length;
      },
      xSleep: () => 0,
      xCurrentTime: (_vfs: WasmPointer, out: WasmPointer) => {
        wasm.poke(out, JULIAN_DAY, 'double');
        return 0;
      },
      xGetLastError: () => {},
    };
  }

  /** SQLite passes 64-bit offsets and sizes as bigints, whatever its declarations say. */
  io(): MethodTable {
    const { capi, wasm } = this.#sqlite3;
    return {
      xClose: (pointer: WasmPointer) => {
        this.#files.delete(pointer);
        return this.#guard(capi.SQLITE_IOERR_CLOSE, () => {
          this.#volume.settle();
          return 0;
        });
      },
      xRead: (pointer: WasmPointer, into: WasmPointer, length: number, offset: number) =>
        this.#guard(capi.SQLITE_IOERR_READ, () => {
          const bytes = this.#bytes(into, length);
          const had = this.#volume.read(this.#file(pointer), Number(offset), bytes);
          return had === length ? 0 : capi.SQLITE_IOERR_SHORT_READ;
        }),
      xWrite: (pointer: WasmPointer, from: WasmPointer, length: number, offset: number) =>
        this.#guard(capi.SQLITE_IOERR_WRITE, () => {
          this.#volume.write(this.#file(pointer), Number(offset), this.#bytes(from, length));
          return 0;
        }),
      xTruncate: (pointer: WasmPointer, size: number) =>
        this.#guard(capi.SQLITE_IOERR_TRUNCATE, () => {
          this.#volume.setSize(this.#file(pointer), Number(size));
          return 0;
        }),
      xSync: () =>
        this.#guard(capi.SQLITE_IOERR_FSYNC, () => {
          this.#volume.sync();
          return 0;
        }),
      xFileSize: (pointer: WasmPointer, out: WasmPointer) => {
        this.#pokeSize(out, this.#file(pointer).size);
        return 0;
      },
      // The image's lock keeps other processes out, and there is one connection.
      xLock: () => 0,
      xUnlock: () => 0,
      xCheckReservedLock: (_pointer: WasmPointer, out: WasmPointer) => {
        wasm.poke(out, 0, 'i32');
        return 0;
      },
      xFileControl: () => capi.SQLITE_NOTFOUND,
      xSectorSize: () => SECTOR_SIZE,
      xDeviceCharacteristics: () => 0,
    };
  }
}

/**
 * Registers a VFS whose files are those of a volume; open its database with `{ filename: DATABASE_NAME, vfs: name }`.
 *
 * @param seed what xRandomness is made from.
 */
export function installVolumeVfs(
  sqlite3: Sqlite3Static,
  volume: Volume,
  name: string,
  seed: number,
): VolumeVfs {
  const { capi } = sqlite3;
  const io = new capi.sqlite3_io_methods();
  const vfs = new capi.sqlite3_vfs();
  vfs.$iVersion = 1;
  vfs.$szOsFile = (capi.sqlite3_file as unknown as StructClass).structInfo.sizeof;
  vfs.$mxPathname = 128;
  Object.assign(io, { $iVersion: 1 });
  const methods = new Methods(sqlite3, volume, io.pointer, seed);
  sqlite3.vfs.installVfs({
    io: { struct: io, methods: methods.io() as unknown as IoMethods },
    vfs: { struct: vfs, methods: methods.vfs() as unknown as VfsMethods, name },
  });
  return {
    name,
    failure: () => methods.failure,
    dispose() {
      capi.sqlite3_vfs_unregister(vfs.pointer);
      vfs.dispose();
      io.dispose();
    },
  };
}
