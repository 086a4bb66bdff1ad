// SPDX-License-Identifier: MIT
// pkslab pmem info and check.

import { closeSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { residentChunksFor } from '@pkslab/pmem';
import { defaultPmemLimit, imageUser, MediaError, openFileMedia } from '@pkslab/pmem/node';
import { bootStack, volumeState } from '@pkslab/selftests';
import { onInterrupt } from '../demo/interrupt.ts';
import { type Command, type CommandSpec, type Io, runCommand } from '../options.ts';
import { Progress } from '../progress.ts';

const PAGE = 4096;
const HEAD = 8192;
const MIB: number = 2 ** 20;
/** Bytes compared in one go. */
const BLOCK = MIB;

const image = { name: 'IMAGE', help: 'The image file' } as const;
const json = { type: 'boolean', help: 'Print one JSON document on stdout' } as const;

const infoSpec = {
  name: 'pmem info',
  summary:
    'Says what an image is: its size, what it takes on disk, what is in it, who has it open.',
  positionals: [image],
  options: { json },
} as const satisfies CommandSpec;

interface ImageInfo {
  readonly image: string;
  readonly size: number;
  readonly allocated: number;
  readonly readOnly: boolean;
  readonly contents: string;
  /** Process that has it open. */
  readonly user: number | null;
}

/** `pkslab pmem info IMAGE` */
export const info: Command = (args, io) =>
  runCommand(infoSpec, args, io, ({ options, positionals }) => {
    const [path = ''] = positionals;
    const found = imageInfo(path);
    if (options.json) io.stdout(`${JSON.stringify(found, null, 2)}\n`);
    else {
      const { size, allocated, readOnly, contents, user } = found;
      io.stdout(`image      ${path}\n`);
      io.stdout(`size       ${size} bytes, ${size / PAGE} pages\n`);
      io.stdout(`on disk    ${allocated} bytes\n`);
      io.stdout(`contents   ${contents}\n`);
      io.stdout(`writable   ${readOnly ? 'no' : 'yes'}\n`);
      io.stdout(`in use     ${user === null ? 'no' : `by process ${user}`}\n`);
    }
    return 0;
  });

function imageInfo(path: string): ImageInfo {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) throw new MediaError('missing', path, 'there is no such file');
  if (!stats.isFile()) throw new MediaError('notAFile', path, 'is not a file; name an image file');
  if (stats.size === 0 || stats.size % PAGE !== 0) {
    const what = `its size is ${stats.size}, not a positive multiple of ${PAGE} bytes; it is no image`;
    throw new MediaError('size', path, what);
  }
  return {
    image: path,
    size: stats.size,
    allocated: stats.blocks * 512,
    readOnly: (stats.mode & 0o222) === 0,
    contents: contentsOf(path, stats.size),
    user: imageUser(realpathSync(path)),
  };
}

/** By the first bytes: no lock is taken for that. */
function contentsOf(path: string, size: number): string {
  const head = Buffer.alloc(HEAD);
  const fd = openSync(path, 'r');
  try {
    readSync(fd, head, 0, HEAD, 0);
  } finally {
    closeSync(fd);
  }
  if (head.readUInt16LE(1080) === 0xef53) return 'an ext2, ext3 or ext4 file system';
  const volume = volumeState(head, size);
  if (volume !== 'none') return `a volume of pkslab demo${volume === 'sound' ? '' : `; ${volume}`}`;
  if (head.readUInt16LE(510) === 0xaa55) return 'a boot sector: a partition table or a FAT volume';
  return head.every((byte) => byte === 0) ? 'zeroes at the start' : 'something else';
}

const checkSpec = {
  name: 'pmem check',
  summary: `Attaches an image read-only, reads all of it through the driver with protection on, and compares that with
the file; of a volume of pkslab demo the superblock is looked at too. Nothing is changed.`,
  positionals: [image],
  options: { json },
  notes: [
    'Exit status: 0 if every page can be read and is the same, and no superblock is damaged; 1 if not; 130 after Ctrl-C.',
  ],
} as const satisfies CommandSpec;

interface CheckResult {
  readonly image: string;
  readonly pages: number;
  readonly unreadable: number;
  readonly different: number;
  /** Of a volume of the demo: `sound`, or what is wrong with it; else `none`. */
  readonly volume: string;
}

/** `pkslab pmem check IMAGE` */
export const check: Command = (args, io) =>
  runCommand(checkSpec, args, io, async ({ options, positionals }) => {
    const [path = ''] = positionals;
    const result = await interruptibleCheck(path, io);
    if (result === null) {
      io.stderr('interrupted: not all was checked\n');
      return 130;
    }
    const { pages, unreadable, different, volume } = result;
    const sound = volume === 'sound' || volume === 'none';
    const ok = unreadable === 0 && different === 0 && sound;
    if (options.json) io.stdout(`${JSON.stringify({ ok, ...result }, null, 2)}\n`);
    else {
      const verdict =
        unreadable + different === 0
          ? 'as they should be'
          : `${unreadable} unreadable, ${different} different`;
      io.stdout(`${path}: ${pages} pages read through the protected path: ${verdict}\n`);
      if (!sound) io.stdout(`${path}: a volume of pkslab demo; ${volume}\n`);
    }
    return ok ? 0 : 1;
  });

/** Null after SIGINT or SIGTERM. A second one is not needed: the next block is the end. */
async function interruptibleCheck(path: string, io: Io): Promise<CheckResult | null> {
  const interrupt = onInterrupt(() => {});
  const progress = new Progress(io);
  try {
    return await checkImage(path, async (done, size) => {
      progress.show(() => {
        const percent = Math.floor((100 * done) / size);
        return `${path}: ${Math.floor(done / MIB)} of ${Math.ceil(size / MIB)} MiB checked, ${percent} %`;
      });
      await setImmediate();
      return !interrupt.requested;
    });
  } finally {
    progress.end();
    interrupt.dispose();
  }
}

/** @param goOn is told how many bytes are done, and says whether to go on */
async function checkImage(
  path: string,
  goOn: (done: number, size: number) => Promise<boolean>,
): Promise<CheckResult | null> {
  const media = openFileMedia(path, { readOnly: true });
  try {
    const { kernel, devices } = bootStack({ pmem: [{ media, readOnly: true }] });
    const [device] = devices;
    if (device === undefined) throw new Error('no device was attached');
    kernel.machine.memory.residentLimit = residentChunksFor(defaultPmemLimit());
    const ours = Buffer.alloc(BLOCK);
    const theirs = Buffer.alloc(BLOCK);
    let unreadable = 0;
    let different = 0;
    let volume = 'none';
    for (let at = 0; at < media.size; at += BLOCK) {
      if (!(await goOn(at, media.size))) return null;
      const length = Math.min(BLOCK, media.size - at);
      media.read(at, theirs.subarray(0, length));
      const status = kernel.call(() => device.read(at, ours, length));
      if (at === 0) volume = volumeState(theirs, media.size);
      if (status !== 0) unreadable += length / PAGE;
      else different += differentPages(ours, theirs, length);
    }
    kernel.call(() => device.detach());
    return { image: path, pages: media.size / PAGE, unreadable, different, volume };
  } finally {
    media.close();
  }
}

function differentPages(a: Buffer, b: Buffer, length: number): number {
  let count = 0;
  for (let at = 0; at < length; at += PAGE) {
    if (a.compare(b, at, at + PAGE, at, at + PAGE) !== 0) count++;
  }
  return count;
}
