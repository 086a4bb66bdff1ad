// SPDX-License-Identifier: MIT
// Volumes whose superblocks hold anything: each is opened, or refused with an ImageError, and a refusal changes nothing.

import { Prng } from '../src/prng.ts';
import type { Disk } from '../src/sqlite/disk.ts';
import {
  encodeSuperblock,
  firstSuperblock,
  IMAGE_SIZE_MIN,
  layoutOf,
  SUPERBLOCK_COPIES,
  SUPERBLOCK_SIZE,
  superblockOffset,
} from '../src/sqlite/layout.ts';
import { ImageError, Volume, type VolumeFile } from '../src/sqlite/volume.ts';

const SIZE = IMAGE_SIZE_MIN;
const LAYOUT = layoutOf(SIZE);
/** Sizes that a superblock with the right checksum may claim. */
const SIZES = [
  0,
  1,
  4096,
  LAYOUT.journal.size,
  LAYOUT.journal.size + 1,
  LAYOUT.database.size,
  LAYOUT.database.size + 1,
  -1,
  0.5,
  2 ** 53,
  1e300,
  Number.NaN,
  Number.POSITIVE_INFINITY,
];

/** A disk of which only the first page is there: nobody may look further. */
class FirstPage implements Disk {
  readonly size = SIZE;
  readonly bytes: Uint8Array = new Uint8Array(LAYOUT.superblock.size);
  writes = 0;

  read(offset: number, into: Uint8Array): number {
    this.#check(offset, into.length);
    into.set(this.bytes.subarray(offset, offset + into.length));
    return 0;
  }

  write(offset: number, from: Uint8Array): number {
    this.#check(offset, from.length);
    this.writes++;
    this.bytes.set(from, offset);
    return 0;
  }

  flush(): number {
    return 0;
  }

  #check(offset: number, length: number): void {
    if (offset < 0 || offset + length > this.bytes.length) throw new Error(`access at ${offset}`);
  }
}

/** How inputs ended. */
export interface VolumeFuzzCounts {
  opened: number;
  refused: number;
}

/** Opens so many volumes; throws if anything is wrong. */
export function fuzzVolumes(seed: number, inputs: number): VolumeFuzzCounts {
  const counts = { opened: 0, refused: 0 };
  const random = new Prng(seed);
  const disk = new FirstPage();
  for (let i = 0; i < inputs; i++) {
    fill(disk.bytes, random);
    disk.writes = 0;
    const volume = open(disk);
    if (volume === null) counts.refused++;
    else {
      counts.opened++;
      checkOpened(disk, volume);
    }
  }
  return counts;
}

function open(disk: FirstPage): Volume | null {
  try {
    return new Volume(disk);
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    if (disk.writes > 0) throw new Error(`it was refused and changed: ${error.message}`);
    return null;
  }
}

function checkOpened(disk: FirstPage, { database, journal }: Volume): void {
  for (const { size, extent } of [database, journal]) {
    if (!(size >= 0 && size <= extent.size)) throw new Error(`a file of ${size} bytes`);
  }
  const again = new Volume(disk);
  const same = (a: VolumeFile, b: VolumeFile): boolean =>
    a.size === b.size && a.exists === b.exists;
  if (!same(database, again.database) || !same(journal, again.journal)) {
    throw new Error('it is not the same when opened again');
  }
}

/** Both copies, whole, torn, or with bytes changed. */
function fill(bytes: Uint8Array, random: Prng): void {
  bytes.fill(0);
  const kind = random.below(8);
  for (let copy = 0; copy < SUPERBLOCK_COPIES && kind > 0; copy++) {
    const size = (): number => SIZES[random.below(SIZES.length)] as number;
    const line = encodeSuperblock({
      ...firstSuperblock(random.below(10) === 0 ? size() : SIZE),
      databaseSize: size(),
      journalSize: size(),
      journalExists: random.below(2) === 1,
      sequence: random.below(2) === 0 ? random.next() : 1 + copy,
    });
    const stored = random.below(3) === 0 ? 8 * random.below(9) : SUPERBLOCK_SIZE;
    bytes.set(line.subarray(0, stored), superblockOffset(copy + 1));
  }
  if (kind > 5) return;
  const reach = random.below(20) === 0 ? bytes.length : SUPERBLOCK_COPIES * SUPERBLOCK_SIZE;
  for (let i = random.below(4); i > 0; i--) bytes[random.below(reach)] = random.below(256);
}
