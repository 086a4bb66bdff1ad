// SPDX-License-Identifier: MIT
// The files of a demo: the image, a copy of it as it was, a copy for the unprotected run, and a log.

import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Media, readInfoBlock } from '@pkslab/pmem';
import { type FileMedia, MediaError, openFileMedia } from '@pkslab/pmem/node';
import { layoutOf } from '@pkslab/selftests';

/** The check at the end holds whole images in memory. */
const IMAGE_SIZE_MAX = 2 ** 30;

export class DemoImages {
  /** The image of the protected run, which is locked from here on. */
  readonly path: string;
  /** As the image was at first. */
  readonly basePath: string;
  /** What the unprotected run works on. */
  readonly copyPath: string;
  readonly #folder: string;
  readonly #temporary: boolean;
  readonly #media: FileMedia;

  /**
   * @param path the user's image, made with `size` bytes if there is none
   * @throws {MediaError} if it cannot be used; nothing is left behind
   * @throws {RangeError} if it is too small
   */
  constructor(path: string | undefined, size: number) {
    checkSize(size);
    this.#folder = mkdtempSync(join(tmpdir(), 'pkslab-demo-'));
    this.#temporary = path === undefined;
    this.path = path === undefined ? join(this.#folder, 'pmem.img') : resolve(path);
    this.basePath = join(this.#folder, 'base.img');
    this.copyPath = join(this.#folder, 'unprotected.img');
    let media: FileMedia | null = null;
    try {
      media = openFileMedia(this.path, { create: size });
      checkSize(media.size);
      checkRaw(media, this.path);
      copyFileSync(this.path, this.basePath);
      copyFileSync(this.path, this.copyPath);
    } catch (error) {
      media?.close();
      rmSync(this.#folder, { recursive: true, force: true });
      throw error;
    }
    this.#media = media;
  }

  get size(): number {
    return this.#media.size;
  }

  /** Opens the image, or its copy for the unprotected run. */
  open(isProtected: boolean): Media {
    const media = isProtected ? this.#media : openFileMedia(this.copyPath);
    return isProtected && !this.#temporary ? media : unsynced(media);
  }

  imagePath(isProtected: boolean): string {
    return isProtected ? this.path : this.copyPath;
  }

  logPath(isProtected: boolean): string {
    return join(this.#folder, isProtected ? 'protected.log' : 'unprotected.log');
  }

  /** Unlocks the image, and removes what was made beside it. */
  remove(keep: boolean): void {
    this.#media.close();
    if (!keep) rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Where the files are that `--keep` leaves. */
  get kept(): string {
    return this.#temporary ? this.#folder : `${this.path} and ${this.#folder}`;
  }
}

function checkSize(size: number): void {
  if (size > IMAGE_SIZE_MAX) {
    throw new RangeError(`an image of ${size} bytes: the demo takes at most ${IMAGE_SIZE_MAX}`);
  }
  layoutOf(size);
}

/** The volume of the demo has all of an image. */
function checkRaw(media: Media, path: string): void {
  const block = readInfoBlock(media);
  if (block === null) return;
  throw new MediaError(
    'mode',
    path,
    `is a ${block.mode} namespace; give the demo an image of its own`,
  );
}

/** Nobody needs a temporary image after a power failure, and thousands of fdatasync take their time. */
function unsynced(media: Media): Media {
  return {
    size: media.size,
    read: (offset, into) => media.read(offset, into),
    write: (offset, bytes) => media.write(offset, bytes),
    flush: () => {},
    close: () => media.close(),
  };
}
