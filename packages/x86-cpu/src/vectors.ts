// SPDX-License-Identifier: MIT
// Reads conformance vectors: what QEMU and Bochs answered to a bare-metal program. The format is in vectors/README.md.

/** A dimension of a suite; cases run over the product of all, the last one fastest. */
export interface VectorDimension {
  /** The part of its name before any parenthesis. */
  readonly name: string;
  readonly count: number;
}

/** One suite of an index. */
export interface SuiteDescription {
  readonly suite: string;
  readonly file: string;
  readonly cases: number;
  readonly dims: readonly VectorDimension[];
}

/** An `index.json`. */
export interface VectorIndex {
  readonly paging: '4-level' | '5-level';
  readonly maxphyaddr: number;
  /** Names of the classes of deviation, by number. */
  readonly classes: ReadonlyMap<number, string>;
  readonly suites: readonly SuiteDescription[];
}

/** A suite and its records, 3 bytes a case. */
export interface VectorSuite extends SuiteDescription {
  readonly paging: VectorIndex['paging'];
  readonly maxphyaddr: number;
  readonly classes: ReadonlyMap<number, string>;
  readonly records: Uint8Array;
}

/** A file that is not what it should be, and where that shows. */
export class VectorError extends Error {
  override readonly name = 'VectorError';
  readonly file: string;
  readonly offset: number;

  constructor(file: string, offset: number, what: string, options?: ErrorOptions) {
    super(`${file}, offset ${offset}: ${what}`, options);
    this.file = file;
    this.offset = offset;
  }
}

/** Bytes of a record. */
export const RECORD_BYTES = 3;

/** Byte 0 of a record: the access was done, or `0x40` plus the error code of its #PF, or #GP. */
export const VectorOutcome = { done: 0, pageFault: 0x40, generalProtection: 0x80 } as const;

/** Byte 1 of a record where the recorded flags mean nothing. */
export const ANY_FLAGS = 0xff;

/**
 * Reads an `index.json`.
 *
 * @throws {VectorError} if it is not one.
 */
export function readVectorIndex(text: string, file = 'index.json'): VectorIndex {
  const fail = (needle: string, what: string): never => {
    throw new VectorError(file, Math.max(0, text.indexOf(needle)), what);
  };
  const index = parse(text, file);
  if (index['format'] !== 'pkslab-vectors/1') {
    fail(
      '"format"',
      `format ${JSON.stringify(index['format'])}: only pkslab-vectors/1 can be read`,
    );
  }
  const paging = index['paging'];
  if (paging !== '4-level' && paging !== '5-level') {
    return fail('"paging"', `paging ${JSON.stringify(paging)}: 4-level or 5-level`);
  }
  const maxphyaddr = index['maxphyaddr'];
  if (!isCount(maxphyaddr) || maxphyaddr < 36 || maxphyaddr > 51) {
    return fail('"maxphyaddr"', `maxphyaddr ${JSON.stringify(maxphyaddr)}: 36 to 51`);
  }
  const suites = index['suites'];
  if (!Array.isArray(suites)) return fail('"suites"', 'suites is not a list');
  return {
    paging,
    maxphyaddr,
    classes: readClasses(index['classes']),
    suites: suites.map((suite: unknown) => readSuite(suite, fail)),
  };
}

function parse(text: string, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    const position = /position (\d+)/.exec(message)?.[1];
    const offset = position === undefined ? text.length : Number(position);
    throw new VectorError(file, offset, `not JSON: ${message}`, { cause });
  }
  if (!isRecord(value)) throw new VectorError(file, 0, 'not a JSON object');
  return value;
}

function readClasses(value: unknown): Map<number, string> {
  const classes = new Map<number, string>();
  if (!isRecord(value)) return classes;
  for (const [number, name] of Object.entries(value)) classes.set(Number(number), String(name));
  return classes;
}

function readSuite(
  value: unknown,
  fail: (needle: string, what: string) => never,
): SuiteDescription {
  if (!isRecord(value)) return fail('"suites"', 'a suite is not an object');
  const { suite, file, cases, recordBytes, dims } = value;
  if (typeof suite !== 'string') return fail('"suites"', 'a suite has no name');
  const needle = `"suite": ${JSON.stringify(suite)}`;
  if (typeof file !== 'string' || /[/\\]|^\.\.?$/.test(file)) {
    return fail(needle, `suite ${suite}: "file" is not the name of a file beside the index`);
  }
  if (recordBytes !== RECORD_BYTES) {
    return fail(needle, `suite ${suite}: records of ${String(recordBytes)} bytes; 3 can be read`);
  }
  if (!isCount(cases) || !Array.isArray(dims)) {
    return fail(needle, `suite ${suite}: "cases" or "dims" is missing`);
  }
  const read = dims.map((dim: unknown): VectorDimension => {
    if (!isRecord(dim) || typeof dim['name'] !== 'string' || !isCount(dim['count'])) {
      return fail(needle, `suite ${suite}: a dimension without name or count`);
    }
    return { name: dim['name'].replace(/\(.*$/, ''), count: dim['count'] };
  });
  const product = read.reduce((all, { count }) => all * count, 1);
  if (product !== cases) {
    return fail(needle, `suite ${suite}: ${cases} cases, but its dimensions make ${product}`);
  }
  return { suite, file, cases, dims: read };
}

/**
 * Reads the records of a suite, from decompressed bytes.
 *
 * @throws {VectorError} if their number is wrong, or one is no record.
 */
export function readVectors(
  index: VectorIndex,
  suite: SuiteDescription,
  bytes: Uint8Array,
): VectorSuite {
  const { file, cases } = suite;
  const wanted = cases * RECORD_BYTES;
  if (bytes.length !== wanted) {
    const offset = Math.min(bytes.length, wanted);
    const what = bytes.length < wanted ? 'ends' : 'goes on';
    throw new VectorError(file, offset, `${what} here; ${cases} cases are ${wanted} bytes`);
  }
  for (let at = 0; at < wanted; at += RECORD_BYTES) checkRecord(index, file, bytes, at);
  const { paging, maxphyaddr, classes } = index;
  return { ...suite, paging, maxphyaddr, classes, records: bytes };
}

function checkRecord(index: VectorIndex, file: string, bytes: Uint8Array, at: number): void {
  const outcome = bytes[at] as number;
  if (outcome > VectorOutcome.generalProtection || (outcome > 0 && outcome < 0x40)) {
    throw new VectorError(file, at, `0x${outcome.toString(16)} is no outcome`);
  }
  const deviation = bytes[at + 2] as number;
  if (deviation === 0) return;
  for (const number of [deviation & 0xf, deviation >>> 4]) {
    if (number !== 0 && !index.classes.has(number)) {
      throw new VectorError(file, at + 2, `class ${number} is not named in the index`);
    }
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 2 ** 30;
}
