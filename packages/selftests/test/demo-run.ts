// SPDX-License-Identifier: MIT
// A small run of the demo on media in memory, judged as the command judges it.

import { type MemoryMedia, memoryMedia } from '@pkslab/pmem';
import {
  compareImages,
  complaints,
  encodeRecord,
  type ImageDifference,
  LogReplay,
  layoutOf,
  loadSqlite,
  type PhaseOptions,
  type PhaseResult,
  runPhase,
} from '../src/index.ts';

const SIZE = 4 * 1024 * 1024;
const sqlite3 = loadSqlite();

export interface DemoRun {
  readonly result: PhaseResult;
  readonly difference: ImageDifference;
  readonly complaints: readonly string[];
  readonly media: MemoryMedia;
}

/** Runs some transactions among stray writes, and rebuilds the image from the log. */
export async function demoRun(
  options: Partial<PhaseOptions> & { readonly on?: MemoryMedia } = {},
): Promise<DemoRun> {
  const media = options.on ?? memoryMedia(SIZE);
  const expected = contents(media);
  const replay = new LogReplay(expected);
  const result = await runPhase({
    sqlite3: await sqlite3,
    protected: true,
    seed: 1,
    transactions: 60,
    strays: 600,
    media,
    log: { append: (offset, bytes) => replay.push(encodeRecord(offset, bytes)) },
    ...options,
  });
  replay.end();
  const difference = compareImages(contents(media), expected, layoutOf(SIZE).canary);
  return { result, difference, complaints: complaints(result, difference), media };
}

function contents(media: MemoryMedia): Uint8Array {
  const bytes = new Uint8Array(media.size);
  media.read(0, bytes);
  return bytes;
}
