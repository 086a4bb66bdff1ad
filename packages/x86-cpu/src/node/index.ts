// SPDX-License-Identifier: MIT
// Conformance vectors from files: what a browser cannot do.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import {
  readVectorIndex,
  readVectors,
  type SuiteDescription,
  VectorError,
  type VectorIndex,
  type VectorSuite,
} from '../vectors.ts';

/** Folders of the vectors that come with this package. */
export function shippedVectors(): string[] {
  const root = new URL('../../vectors/', import.meta.url);
  return ['4-level', '5-level'].map((name) => fileURLToPath(new URL(name, root)));
}

/** The index of a folder. */
export function readIndexOf(folder: string): VectorIndex {
  const file = join(folder, 'index.json');
  return readVectorIndex(readFileSync(file, 'utf8'), file);
}

/**
 * Reads and unpacks every suite of a folder.
 *
 * @throws {VectorError} naming file and offset, if one is malformed, truncated, or of another format.
 */
export function* readVectorFolder(folder: string): Generator<VectorSuite> {
  const index = readIndexOf(folder);
  for (const suite of index.suites) yield readSuiteFile(folder, index, suite);
}

/** Reads and unpacks one suite of a folder. */
export function readSuiteFile(
  folder: string,
  index: VectorIndex,
  suite: SuiteDescription,
): VectorSuite {
  const file = join(folder, suite.file);
  const packed = readFileSync(file);
  const named = { ...suite, file };
  return readVectors(index, named, suite.file.endsWith('.gz') ? unpack(file, packed) : packed);
}

function unpack(file: string, packed: Buffer): Uint8Array {
  if (packed[0] !== 0x1f || packed[1] !== 0x8b) {
    throw new VectorError(file, 0, 'not a gzip file');
  }
  try {
    return gunzipSync(packed);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new VectorError(file, packed.length, `cannot be unpacked: ${message}`, { cause });
  }
}
