// SPDX-License-Identifier: MIT
// debugfs: files by path under /sys/kernel/debug, and open files with a position. fs/debugfs/

import { type Column, EXTABLE, type FieldDefinition, type Machine } from '@pkslab/x86-cpu';
import { EBADF, EFAULT, ENFILE, ENOENT } from './errno.ts';
import { KernelError } from './kernel-error.ts';

/** Files that may be open at a time. */
export const OPEN_FILES_MAX = 64;

/**
 * A file's operations; `read` returns the whole text, `write` a count or a negative errno.
 *
 * `file` is the number of the open file, below {@link OPEN_FILES_MAX}: what a driver keeps in
 * `file->private_data` is a cell of its own with this index, and `release` is where it is given back.
 */
export interface DebugfsFile {
  readonly mode: number;
  read?(file: number): string;
  write?(data: string, file: number): number;
  release?(file: number): void;
}

/** Where a program has what it writes, if not in a string of the host: `write` copies it from there. */
export interface UserBuffer {
  readonly address: number;
  readonly length: number;
}

const openField: FieldDefinition = {
  name: 'debugfs_file.open',
  type: 'bool',
  initial: 0,
  per: 'object',
  count: OPEN_FILES_MAX,
};
const positionField: FieldDefinition = {
  name: 'debugfs_file.f_pos',
  type: 'u32',
  initial: 0,
  per: 'object',
  count: OPEN_FILES_MAX,
};

/** An open file: what a file descriptor stands for. Its position is a cell, so a handle is only a name. */
export class OpenFile {
  readonly number: number;
  readonly #path: string;
  readonly #file: DebugfsFile;
  readonly #machine: Machine;
  readonly #open: Column;
  readonly #position: Column;

  constructor(number: number, path: string, file: DebugfsFile, machine: Machine) {
    this.number = number;
    this.#path = path;
    this.#file = file;
    this.#machine = machine;
    this.#open = machine.column(openField);
    this.#position = machine.column(positionField);
  }

  /**
   * read(2): what is left of the text from the file's position on, at most `count` bytes; '' at its end.
   *
   * @throws {KernelError} EBADF where the file cannot be read.
   */
  read(count: number = Number.MAX_SAFE_INTEGER): string {
    if (this.#file.read === undefined) throw notOpenFor(this.#path, 'readable');
    const text = this.#file.read(this.number);
    const from = this.#position.get(this.number);
    const part = text.slice(from, from + count);
    this.#position.set(this.number, from + part.length);
    return part;
  }

  /**
   * write(2): the count, or a negative errno; −EFAULT for a buffer that is not the program's.
   *
   * @throws {KernelError} EBADF where the file cannot be written.
   */
  write(data: string | UserBuffer): number {
    if (this.#file.write === undefined) throw notOpenFor(this.#path, 'writable');
    if (typeof data === 'string') return this.#file.write(data, this.number);
    const bytes = new Uint8Array(data.length);
    if (this.#machine.copyOut(data.address, bytes, 0, data.length, EXTABLE)) return -EFAULT;
    return this.#file.write(String.fromCharCode(...bytes), this.number);
  }

  /** lseek(2) to a position from the start. */
  seek(position: number): void {
    this.#position.set(this.number, position);
  }

  /** close(2) of the last descriptor. */
  release(): void {
    this.#file.release?.(this.number);
    this.#position.set(this.number, 0);
    this.#open.set(this.number, 0);
  }
}

function notOpenFor(path: string, what: string): KernelError {
  return new KernelError(EBADF, `debugfs ${path}: not ${what}`);
}

export class Debugfs {
  readonly #files = new Map<string, DebugfsFile>();
  readonly #machine: Machine;
  readonly #open: Column;

  constructor(machine: Machine) {
    this.#machine = machine;
    this.#open = machine.column(openField);
  }

  /** debugfs_create_file: `path` is below /sys/kernel/debug, e.g. `x86/pks_keys_allocated`. */
  createFile(path: string, file: DebugfsFile): void {
    this.#files.set(path, file);
  }

  list(): readonly string[] {
    return [...this.#files.keys()].sort();
  }

  exists(path: string): boolean {
    return this.#files.has(path);
  }

  mode(path: string): number {
    return this.#lookup(path).mode;
  }

  /**
   * open(2): a handle with its own position, to be released.
   *
   * Use it where a driver keeps something for each open file; `read` and `write` open and release by
   * themselves, as `cat` and `echo` do.
   *
   * @throws {KernelError} ENOENT, or ENFILE with {@link OPEN_FILES_MAX} files open.
   * @example
   * const { debugfs } = boot();
   * debugfs.createFile('x86/answer', { mode: 0o400, read: () => '42\n' });
   * const file = debugfs.open('x86/answer');
   * file.read(); // => '42\n'
   * file.read(); // => ''
   */
  open(path: string): OpenFile {
    const file = this.#lookup(path);
    for (let number = 0; number < OPEN_FILES_MAX; number++) {
      if (this.#open.exchange(number, 1) === 0) {
        return new OpenFile(number, path, file, this.#machine);
      }
    }
    throw new KernelError(ENFILE, `debugfs ${path}: ${OPEN_FILES_MAX} files are open`);
  }

  /** @throws {KernelError} ENOENT, or EBADF where the file cannot be read. */
  read(path: string): string {
    if (this.#lookup(path).read === undefined) throw notOpenFor(path, 'readable');
    const file = this.open(path);
    const text = file.read();
    file.release();
    return text;
  }

  /** @throws {KernelError} ENOENT, or EBADF where the file cannot be written. */
  write(path: string, data: string): number {
    if (this.#lookup(path).write === undefined) throw notOpenFor(path, 'writable');
    const file = this.open(path);
    const result = file.write(data);
    file.release();
    return result;
  }

  #lookup(path: string): DebugfsFile {
    const file = this.#files.get(path);
    if (file === undefined) {
      throw new KernelError(
        ENOENT,
        `debugfs ${path}: no such file; there is ${this.list().join(', ')}`,
      );
    }
    return file;
  }
}
