// SPDX-License-Identifier: MIT
// debugfs: files by path under /sys/kernel/debug. fs/debugfs/

import { EBADF, ENOENT } from './errno.ts';
import { KernelError } from './kernel-error.ts';

/** A file's operations; `read` returns the whole text, `write` a count or a negative errno. */
export interface DebugfsFile {
  readonly mode: number;
  read?(): string;
  write?(data: string): number;
}

export class Debugfs {
  readonly #files = new Map<string, DebugfsFile>();

  /** debugfs_create_file: `path` is below /sys/kernel/debug, e.g. `x86/pks_keys_allocated`. */
  createFile(path: string, file: DebugfsFile): void {
    this.#files.set(path, file);
  }

  list(): readonly string[] {
    return [...this.#files.keys()].sort();
  }

  mode(path: string): number {
    return this.#open(path).mode;
  }

  /** @throws {KernelError} ENOENT, or EBADF where the file cannot be read. */
  read(path: string): string {
    const file = this.#open(path);
    if (file.read === undefined) throw new KernelError(EBADF, `debugfs ${path}: not readable`);
    return file.read();
  }

  write(path: string, data: string): number {
    const file = this.#open(path);
    if (file.write === undefined) throw new KernelError(EBADF, `debugfs ${path}: not writable`);
    return file.write(data);
  }

  #open(path: string): DebugfsFile {
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
