// SPDX-License-Identifier: MIT
// pkslab pmem info.

import { closeSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { KernelError } from '@pkslab/kernel';
import {
  decodeInfoBlock,
  INFO_BLOCK_OFFSET,
  INFO_BLOCK_SIZE,
  type InfoBlock,
  InfoBlockError,
} from '@pkslab/pmem';
import { type FileMedia, imageUser, MediaError, openFileMedia } from '@pkslab/pmem/node';
import { volumeState } from '@pkslab/selftests';
import { type Command, type CommandSpec, type Io, runCommand } from '../options.ts';

const PAGE = 4096;
const HEAD = 8192;

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
  readonly namespace: NamespaceInfo;
  /** By the first bytes of the data. */
  readonly contents: string;
  /** Process that has it open. */
  readonly user: number | null;
}

/** What an image says of itself: nothing where it is raw, and what is wrong where its info block is damaged. */
interface NamespaceInfo {
  readonly mode: 'raw' | 'fsdax' | 'devdax' | 'damaged';
  readonly infoBlock: InfoBlock | null;
  readonly problem: string | null;
}

/** `pkslab pmem info IMAGE` */
export const info: Command = (args, io) =>
  runCommand(infoSpec, args, io, ({ options, positionals }) => {
    const [path = ''] = positionals;
    const found = readable(path, () => imageInfo(path));
    if (options.json) io.stdout(`${JSON.stringify(found, null, 2)}\n`);
    else {
      const { size, allocated, readOnly, namespace, contents, user } = found;
      io.stdout(`image      ${path}\n`);
      io.stdout(`size       ${size} bytes, ${size / PAGE} pages\n`);
      io.stdout(`on disk    ${allocated} bytes\n`);
      io.stdout(`namespace  ${namespaceText(namespace)}\n`);
      io.stdout(`contents   ${contents}\n`);
      io.stdout(`writable   ${readOnly ? 'no' : 'yes'}\n`);
      io.stdout(`in use     ${user === null ? 'no' : `by process ${user}`}\n`);
    }
    return 0;
  });

/** What the host refuses is said in its words; the caller's own refusals pass. */
function readable<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null;
    if (error instanceof KernelError || typeof code !== 'string') throw error;
    const remedy = code === 'EACCES' || code === 'EPERM' ? 'chmod u+r it, and u+x its folder' : '';
    const what = `cannot be read (${code})${remedy === '' ? '' : `; ${remedy}`}`;
    throw new MediaError('host', path, what, error);
  }
}

function imageInfo(path: string): ImageInfo {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) throw new MediaError('missing', path, 'there is no such file');
  if (!stats.isFile()) throw new MediaError('notAFile', path, 'is not a file; name an image file');
  if (stats.size === 0 || stats.size % PAGE !== 0) {
    const what = `its size is ${stats.size}, not a positive multiple of ${PAGE} bytes; it is no image`;
    throw new MediaError('size', path, what);
  }
  const namespace = namespaceOf(path, stats.size);
  const start = namespace.infoBlock?.dataoff ?? 0;
  return {
    image: path,
    size: stats.size,
    allocated: stats.blocks * 512,
    readOnly: (stats.mode & 0o222) === 0,
    namespace,
    contents: contentsOf(path, start, stats.size - start),
    user: imageUser(realpathSync(path)),
  };
}

function namespaceText({ mode, infoBlock, problem }: NamespaceInfo): string {
  if (problem !== null) return `damaged: ${problem}`;
  if (infoBlock === null) return 'raw: no info block';
  const { dataoff, npfns, align, map, uuid, version } = infoBlock;
  return [
    `${mode}, version ${version}, uuid ${uuid}`,
    `data       ${npfns * PAGE} bytes from byte ${dataoff}, pages of ${align}, struct pages ${map === 'dev' ? 'on the device' : 'in RAM'}`,
  ].join('\n');
}

function namespaceOf(path: string, size: number): NamespaceInfo {
  try {
    const infoBlock = decodeInfoBlock(readAt(path, INFO_BLOCK_OFFSET, INFO_BLOCK_SIZE), size);
    return { mode: infoBlock?.mode ?? 'raw', infoBlock, problem: null };
  } catch (error) {
    if (!(error instanceof InfoBlockError)) throw error;
    return { mode: 'damaged', infoBlock: null, problem: error.message };
  }
}

/** By the first bytes of the data. */
function contentsOf(path: string, start: number, size: number): string {
  const head = readAt(path, start, HEAD);
  if (head.readUInt16LE(1080) === 0xef53) return 'an ext2, ext3 or ext4 file system';
  const volume = volumeState(head, size);
  if (volume !== 'none') return `a volume of pkslab demo${volume === 'sound' ? '' : `; ${volume}`}`;
  if (head.readUInt16LE(510) === 0xaa55) return 'a boot sector: a partition table or a FAT volume';
  return head.every((byte) => byte === 0) ? 'zeroes at the start' : 'something else';
}

/** Bytes of a file, zero past its end: no lock is taken for that. */
function readAt(path: string, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const fd = openSync(path, 'r');
  try {
    readSync(fd, bytes, 0, length, offset);
  } finally {
    closeSync(fd);
  }
  return bytes;
}

/** An image that is only read, with a word on stderr where no lock keeps others out. */
export function openToRead(path: string, io: Io): FileMedia {
  const media = openFileMedia(path, { readOnly: true });
  if (!media.locked) {
    io.stderr(
      `${path}: no lock can be made beside it: nothing keeps others from writing to it meanwhile\n`,
    );
  }
  return media;
}
