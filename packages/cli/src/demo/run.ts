// SPDX-License-Identifier: MIT
// One run of the demo on an image file, and its proof.

import { spawn } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  encodeRecord,
  type ImageDifference,
  type PhaseOptions,
  type PhaseResult,
  runPhase,
  type WriteLog,
} from '@pkslab/selftests';
import type { DemoImages } from './images.ts';

export interface PhaseOutcome {
  readonly result: PhaseResult;
  /** What another process found when it built the image again from the log. */
  readonly difference: ImageDifference & { readonly writes: number };
  readonly seconds: number;
}

/** Records are written in blocks of about so many bytes. */
const BLOCK = 1024 * 1024;

class FileLog implements WriteLog {
  readonly #fd: number;
  #pending: Uint8Array[] = [];
  #size = 0;

  constructor(path: string) {
    this.#fd = openSync(path, 'w');
  }

  append(offset: number, bytes: Uint8Array): void {
    const record = encodeRecord(offset, bytes);
    this.#pending.push(record);
    this.#size += record.length;
    if (this.#size >= BLOCK) this.#write();
  }

  #write(): void {
    const block = Buffer.concat(this.#pending);
    for (let done = 0; done < block.length; ) done += writeSync(this.#fd, block, done);
    this.#pending = [];
    this.#size = 0;
  }

  close(): void {
    this.#write();
    closeSync(this.#fd);
  }
}

/** Runs a phase on its image, closes that, and has another process check what is in it. */
export async function runOnImage(
  images: DemoImages,
  options: Omit<PhaseOptions, 'media' | 'log'>,
): Promise<PhaseOutcome> {
  const started = performance.now();
  const media = images.open(options.protected);
  const log = new FileLog(images.logPath(options.protected));
  let result: PhaseResult;
  try {
    result = await runPhase({ ...options, media, log });
  } finally {
    log.close();
    media.close();
  }
  const difference = await verify(images, options.protected);
  return { result, difference, seconds: (performance.now() - started) / 1000 };
}

/** Starts `verify.js` in a process of its own, which shares nothing with this one but the files. */
async function verify(
  images: DemoImages,
  isProtected: boolean,
): Promise<PhaseOutcome['difference']> {
  const script = fileURLToPath(new URL('./verify.js', import.meta.url));
  const files = [images.basePath, images.logPath(isProtected), images.imagePath(isProtected)];
  const child = spawn(process.execPath, [script, ...files], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', resolve);
  });
  if (status !== 0) throw new Error(`the process that checks the image ended with ${status}`);
  return JSON.parse(text) as PhaseOutcome['difference'];
}
