// SPDX-License-Identifier: MIT
// pkslab pmem check.

import { setImmediate } from 'node:timers/promises';
import { EFAULT, type Kernel } from '@pkslab/kernel';
import { type Media, openNamespace, residentChunksFor } from '@pkslab/pmem';
import { defaultPmemLimit } from '@pkslab/pmem/node';
import { bootStack, volumeState } from '@pkslab/selftests';
import { EXTABLE } from '@pkslab/x86-cpu';
import { onInterrupt } from '../demo/interrupt.ts';
import { type Command, type CommandSpec, type Io, runCommand } from '../options.ts';
import { Progress } from '../progress.ts';
import { openToRead } from './image.ts';

const PAGE = 4096;
/** Bytes compared in one go: a MiB. */
const BLOCK: number = 2 ** 20;

const checkSpec = {
  name: 'pmem check',
  summary: `Attaches an image read-only, reads all of it through the driver with protection on, and compares that with
the file; a devdax namespace is read by a program that maps it. The info block of the namespace is checked, and of a
volume of pkslab demo the superblock. Nothing is changed.`,
  positionals: [{ name: 'IMAGE', help: 'The image file' }],
  options: { json: { type: 'boolean', help: 'Print one JSON document on stdout' } },
  notes: [
    'Exit status: 0 if every page can be read and is the same, and nothing is damaged; 1 if not; 130 after Ctrl-C.',
  ],
} as const satisfies CommandSpec;

interface CheckResult {
  readonly image: string;
  /** `raw`, `fsdax` or `devdax`. */
  readonly mode: string;
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
    const ok = result.unreadable === 0 && result.different === 0 && isSound(result);
    if (options.json) io.stdout(`${JSON.stringify({ ok, ...result }, null, 2)}\n`);
    else io.stdout(reportOf(result));
    return ok ? 0 : 1;
  });

function isSound({ volume }: CheckResult): boolean {
  return volume === 'sound' || volume === 'none';
}

function reportOf(result: CheckResult): string {
  const { image, mode, pages, unreadable, different, volume } = result;
  const verdict =
    unreadable + different === 0
      ? 'as they should be'
      : `${unreadable} unreadable, ${different} different`;
  const way = mode === 'devdax' ? 'by a program that maps it' : 'through the protected path';
  const read = `${image}: ${pages} pages read ${way}: ${verdict}\n`;
  return isSound(result) ? read : `${read}${image}: a volume of pkslab demo; ${volume}\n`;
}

/** Null after SIGINT or SIGTERM. A second one is not needed: the next block is the end. */
async function interruptibleCheck(path: string, io: Io): Promise<CheckResult | null> {
  const interrupt = onInterrupt(() => {});
  const progress = new Progress(io);
  try {
    return await checkImage(path, io, async (done, size) => {
      progress.show(() => {
        const percent = Math.floor((100 * done) / size);
        return `${path}: ${Math.floor(done / BLOCK)} of ${Math.ceil(size / BLOCK)} MiB checked, ${percent} %`;
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
  io: Io,
  goOn: (done: number, size: number) => Promise<boolean>,
): Promise<CheckResult | null> {
  const media = openToRead(path, io);
  try {
    const { mode, block, data } = openNamespace(media);
    const reader = mode === 'devdax' ? mapped(data, block?.align ?? PAGE) : attached(data);
    reader.kernel.machine.memory.residentLimit = residentChunksFor(defaultPmemLimit());
    const compared = await compare(data, reader, goOn);
    reader.end();
    return compared === null ? null : { image: path, mode, pages: data.size / PAGE, ...compared };
  } finally {
    media.close();
  }
}

/** How a check gets at the data. */
interface Reader {
  readonly kernel: Kernel;
  /** 0, or a negative errno. */
  read(offset: number, into: Uint8Array, length: number): number;
  end(): void;
}

/** Through the block device. */
function attached(media: Media): Reader {
  const { kernel, devices } = bootStack({ pmem: [{ media, readOnly: true }] });
  const [device] = devices;
  if (device === undefined) throw new Error('no device was attached');
  return {
    kernel,
    read: (offset, into, length) => kernel.call(() => device.read(offset, into, length)),
    end: () => kernel.call(() => device.detach()),
  };
}

/** By loads at CPL 3 from a device-dax that a program has mapped. */
function mapped(media: Media, alignment: number): Reader {
  const { kernel, pmem } = bootStack();
  const device = kernel.call(() => pmem.attachDevDax({ media, alignment }));
  const { machine, userMm } = kernel;
  const request = { file: device.file, length: media.size, writable: false };
  const address = kernel.call(() => userMm.mmap(request));
  return {
    kernel,
    read: (offset, into, length) => {
      const load = (): boolean => machine.copyOut(address + offset, into, 0, length, EXTABLE);
      return kernel.call(() => userMm.run(load)) ? -EFAULT : 0;
    },
    end: () => kernel.call(() => pmem.detachDevDax(device)),
  };
}

async function compare(
  media: Media,
  reader: Reader,
  goOn: (done: number, size: number) => Promise<boolean>,
): Promise<Pick<CheckResult, 'unreadable' | 'different' | 'volume'> | null> {
  const ours = Buffer.alloc(BLOCK);
  const theirs = Buffer.alloc(BLOCK);
  let unreadable = 0;
  let different = 0;
  let volume = 'none';
  for (let at = 0; at < media.size; at += BLOCK) {
    if (!(await goOn(at, media.size))) return null;
    const length = Math.min(BLOCK, media.size - at);
    media.read(at, theirs.subarray(0, length));
    if (at === 0) volume = volumeState(theirs, media.size);
    if (reader.read(at, ours, length) !== 0) unreadable += length / PAGE;
    else different += differentPages(ours, theirs, length);
  }
  return { unreadable, different, volume };
}

function differentPages(a: Buffer, b: Buffer, length: number): number {
  let count = 0;
  for (let at = 0; at < length; at += PAGE) {
    if (a.compare(b, at, at + PAGE, at, at + PAGE) !== 0) count++;
  }
  return count;
}
