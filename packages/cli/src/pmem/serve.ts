// SPDX-License-Identifier: MIT
// pkslab pmem serve: an image over NBD, with the buggy driver beside it if asked for.

import { type RevisionName, revisionNames } from '@pkslab/kernel';
import {
  type Media,
  MediaLoss,
  openNamespace,
  type PmemDevice,
  residentChunksFor,
} from '@pkslab/pmem';
import {
  defaultPmemLimit,
  MediaError,
  type NbdServerOptions,
  openFileMedia,
  PmemExport,
  serveNbd,
} from '@pkslab/pmem/node';
import { bootStack, type Stack, StraysBeside } from '@pkslab/selftests';
import { EndlessRetry } from '@pkslab/x86-cpu';
import { configNote, configOf, configOption } from '../config-option.ts';
import { ending } from '../ending.ts';
import {
  type Arguments,
  type Command,
  type CommandSpec,
  type Io,
  runCommand,
  UsageError,
} from '../options.ts';
import { openToRead } from './image.ts';

const spec = {
  name: 'pmem serve',
  summary: `Serves an image over NBD: every request goes through the pmem driver, with the device's memory under a
protection key. The first line of stdout is the address; it is on the loopback interface. Stderr says which key it is.`,
  positionals: [{ name: 'IMAGE', help: 'The image of the device' }],
  options: {
    unix: { type: 'string', value: 'PATH', help: 'Listen on a unix socket' },
    port: {
      type: 'integer',
      value: 'N',
      help: 'Listen on a port; default: a free one',
      max: 65535,
    },
    'read-only': { type: 'boolean', help: 'Refuse writes' },
    revision: {
      type: 'string',
      value: 'NAME',
      help: 'The revision of the series',
      choices: revisionNames,
      default: 'reference',
    },
    strays: {
      type: 'integer',
      value: 'RATE',
      help: 'Run the buggy driver beside the clients: stray writes a second, while there are requests',
      min: 1,
      max: 1_000_000,
    },
    config: configOption,
    'no-pks': {
      type: 'boolean',
      help: 'A processor without protection keys: the device works, and nothing is protected',
    },
    'pmem-limit': {
      type: 'size',
      value: 'BYTES',
      help: 'Device memory kept in host memory; default: half of it',
      min: 4 * 2 ** 20,
    },
  },
  notes: [
    configNote,
    'Ctrl-C and SIGTERM end it in order: requests that have arrived are answered, everything is flushed, lock and',
    'socket go. Exit status: 0 after SIGTERM, 130 after Ctrl-C; 1 if stray writes reached the device, the machine',
    'stopped, or the image could not take all that was written (clients got EIO at their flush).',
  ],
  examples: [
    'pkslab pmem serve disk.img',
    'pkslab pmem serve disk.img --unix /tmp/disk.sock --strays 1000',
  ],
} as const satisfies CommandSpec;

type Options = Arguments<typeof spec>['options'];

/** `pkslab pmem serve IMAGE` */
export const serve: Command = (args, io) =>
  runCommand(spec, args, io, async ({ options, positionals }) => {
    if (options.unix !== undefined && options.port !== undefined) {
      throw new UsageError('--unix and --port: give one of them');
    }
    const [image = ''] = positionals;
    const media = options['read-only'] ? openToRead(image, io) : openFileMedia(image);
    try {
      const { mode, data } = openNamespace(media);
      if (mode === 'devdax') {
        throw new MediaError(
          'mode',
          image,
          'is a devdax namespace, which has no block device; serve a raw or fsdax one',
        );
      }
      return await serveMedia(data, options, io);
    } finally {
      media.close();
    }
  });

async function serveMedia(media: Media, options: Options, io: Io): Promise<number> {
  const revision = options.revision as RevisionName;
  const mediaErrors = mediaReport(io);
  const stack = bootStack({
    cpus: 2,
    revision,
    config: configOf(options.config, revision),
    features: { pks: !options['no-pks'] },
    pmem: [{ media, readOnly: options['read-only'], onMediaError: mediaErrors.onMediaError }],
  });
  const { kernel, devices } = stack;
  const device = devices[0] as PmemDevice;
  kernel.machine.memory.residentLimit = residentChunksFor(
    options['pmem-limit'] ?? defaultPmemLimit(),
  );
  const strays = options.strays === undefined ? null : new StraysBeside(stack, device, 1);
  const exported = new PmemExport({ kernel, device, onFailure: failureReport(io) });
  const server = await serveNbd(exported, {
    ...addressOf(options),
    ...(strays === null
      ? {}
      : { beforeBatch: pacer(strays, options.strays ?? 0, lockupReport(strays, io)) }),
  });
  const end = ending();
  io.stdout(`${server.uri}\n`);
  io.stderr(`${device.name}: ${protectionOf(device)}\n`);
  const signal = await end.signal;
  io.stderr(`${signal}: answering what has arrived\n`);
  await server.close();
  const inOrder = !exported.stopped && settle(stack, device, strays);
  if (!inOrder) io.stderr('the machine had stopped: what was not flushed before is lost\n');
  const reached = reportStrays(strays, io);
  end.dispose();
  const { connections } = server;
  const { bytesRead, bytesWritten, flushes, errors } = exported.counters;
  io.stdout(
    `served ${connections} connections: ${bytesRead} bytes read, ${bytesWritten} written, ${flushes} flushes, ${errors} errors\n`,
  );
  if (reached > 0 || !inOrder || mediaErrors.lost) return 1;
  return signal === 'SIGINT' ? 130 : 0;
}

function protectionOf({ pagemap: { pkey } }: PmemDevice): string {
  return pkey === 0 ? 'not protected: no protection key' : `protected with key ${pkey}`;
}

function addressOf({ unix, port }: Options): NbdServerOptions {
  if (unix !== undefined) return { unix };
  return port === undefined ? {} : { port };
}

/** Errors of the media are told once each, and what they lost. */
function mediaReport(io: Io): { onMediaError(error: unknown): void; readonly lost: boolean } {
  let last = '';
  let lost = false;
  return {
    get lost() {
      return lost;
    },
    onMediaError(error) {
      if (error instanceof MediaLoss) lost = true;
      const text = error instanceof Error ? error.message : String(error);
      if (text !== last) io.stderr(`pkslab pmem serve: ${text}\n`);
      last = text;
    },
  };
}

/** The same failure again and again, as of a machine that has stopped, is told once. */
function failureReport(io: Io): (error: unknown) => void {
  let last = '';
  return (error) => {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    if (text !== last) io.stderr(`pkslab pmem serve: a request failed: ${text}\n`);
    last = text;
    if (error instanceof EndlessRetry) {
      io.stderr('soft lockup: the machine has stopped; every request fails from here on\n');
    }
  };
}

/** Stray writes follow the clock, but never more than a second's worth at a time. */
function pacer(strays: StraysBeside, rate: number, report: () => void): () => void {
  let last = performance.now();
  let credit = 0;
  let before = strays.counts.attempted;
  return () => {
    report();
    const now = performance.now();
    const { attempted } = strays.counts;
    credit = Math.min(rate, credit + ((now - last) * rate) / 1000) - (attempted - before);
    last = now;
    before = attempted;
    strays.allow(Math.max(0, Math.floor(credit)));
  };
}

/** Posted revisions let a fault handler say for ever that a refused access may go on: told once. */
function lockupReport(strays: StraysBeside, io: Io): () => void {
  let told = false;
  return () => {
    if (told || strays.stuck === 0) return;
    told = true;
    io.stderr(
      'soft lockup: a stray write is refused and tried again for ever; given up here, a real CPU would hang\n',
    );
  };
}

/** Everything reaches the image; false where the machine stopped on the way. */
function settle(stack: Stack, device: PmemDevice, strays: StraysBeside | null): boolean {
  try {
    strays?.stop();
    stack.kernel.call(() => device.detach());
    return true;
  } catch (error) {
    if (!(error instanceof EndlessRetry)) throw error;
    return false;
  }
}

/** How many stray writes reached the device. */
function reportStrays(strays: StraysBeside | null, io: Io): number {
  if (strays === null) return 0;
  const { attempted, stopped, insideWindow, reached } = strays.counts;
  const stuck = strays.stuck === 0 ? '' : `, ${strays.stuck} of those stopped by giving up`;
  io.stdout(
    `stray writes: ${attempted} attempted, ${stopped} stopped, ${insideWindow} inside a window, ${reached} reached${stuck}\n`,
  );
  return reached;
}
