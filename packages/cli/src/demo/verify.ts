// SPDX-License-Identifier: MIT
// A program of its own: builds an image again from what it was and a log of writes, and compares every byte.
// Usage: node verify.js BASE LOG IMAGE

import { createReadStream, readFileSync } from 'node:fs';
import { compareImages, LogReplay, layoutOf } from '@pkslab/selftests';

const [base = '', log = '', image = ''] = process.argv.slice(2);
const expected = new Uint8Array(readFileSync(base));
const replay = new LogReplay(expected);
for await (const piece of createReadStream(log, { highWaterMark: 1 << 20 })) {
  replay.push(piece as Uint8Array);
}
replay.end();
const actual = new Uint8Array(readFileSync(image));
const difference = compareImages(actual, expected, layoutOf(expected.length).canary);
process.stdout.write(`${JSON.stringify({ ...difference, writes: replay.writes })}\n`);
