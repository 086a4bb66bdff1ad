// SPDX-License-Identifier: MIT
// The bits of PKRS, of a paging entry and of a #PF error code. Intel SDM Vol. 3A §4.5, §4.6.2, §4.7.

/** One field of a decoded value. */
interface DecodedField {
  /** `3:2`, or `5` for a single bit. */
  readonly bits: string;
  readonly name: string;
  readonly value: bigint;
  readonly meaning: string;
}

export interface Decoded {
  readonly what: string;
  readonly summary: string;
  readonly fields: readonly DecodedField[];
}

const RIGHTS = ['reads and writes', 'no access', 'reads only', 'no access'] as const;
const PAIRS = ['AD=0 WD=0', 'AD=1 WD=0', 'AD=0 WD=1', 'AD=1 WD=1'] as const;

/**
 * IA32_PKRS: two bits for each of 16 keys.
 *
 * @throws {RangeError} if the value has more than 32 bits: WRMSR would raise #GP.
 * @example
 * decodePkrs(0x55555554n).fields[1].meaning; // => 'AD=1 WD=0: no access'
 */
export function decodePkrs(value: bigint): Decoded {
  if (value >> 32n !== 0n) throw new RangeError('bits 63:32 are reserved: WRMSR raises #GP');
  const fields = Array.from({ length: 16 }, (_, key): DecodedField => {
    const pair = (value >> BigInt(key * 2)) & 3n;
    const at = Number(pair);
    return {
      bits: `${key * 2 + 1}:${key * 2}`,
      name: `key ${key}`,
      value: pair,
      meaning: `${PAIRS[at]}: ${RIGHTS[at]}`,
    };
  });
  const keys = fields.map(({ value: pair }, key) => ({ pair, key }));
  const open = keys.filter(({ pair }) => pair === 0n).map(({ key }) => key);
  const readOnly = keys.filter(({ pair }) => pair === 2n).map(({ key }) => key);
  const list = (which: readonly number[]): string =>
    which.length === 0 ? 'none' : which.join(', ');
  return {
    what: 'pkrs',
    summary: `open keys: ${list(open)}; read-only keys: ${list(readOnly)}`,
    fields,
  };
}

type Bit = readonly [bit: number, name: string, zero: string, one: string];

const PTE_BITS: readonly Bit[] = [
  [0, 'P', 'not present', 'present'],
  [1, 'R/W', 'read-only', 'writable'],
  [2, 'U/S', 'supervisor page', 'user page'],
  [3, 'PWT', 'no write-through', 'write-through'],
  [4, 'PCD', 'cache enabled', 'cache disabled'],
  [5, 'A', 'not accessed', 'accessed'],
  [6, 'D', 'clean', 'dirty'],
  [
    7,
    'PS/PAT',
    'PAT bit of a 4 KiB page, or: points to a table',
    'large page (or PAT in a 4 KiB entry)',
  ],
  [8, 'G', 'not global', 'global'],
];

/**
 * A leaf or table entry of 64 bits; the protection key counts in leaves only.
 *
 * @throws {RangeError} if the value has more than 64 bits.
 */
export function decodePte(value: bigint): Decoded {
  if (value >> 64n !== 0n) throw new RangeError('an entry has 64 bits');
  const key = (value >> 59n) & 15n;
  const noExecute = value >> 63n;
  const user = (value & 4n) !== 0n;
  const present = (value & 1n) !== 0n;
  const fields: DecodedField[] = [
    {
      bits: '63',
      name: 'XD',
      value: noExecute,
      meaning: noExecute === 1n ? 'no fetches' : 'fetches allowed',
    },
    {
      bits: '62:59',
      name: 'key',
      value: key,
      meaning: `checked against ${user ? 'PKRU' : 'PKRS'}`,
    },
    { bits: '58:52', name: 'ignored', value: (value >> 52n) & 127n, meaning: 'for software' },
    ...frameFields(value),
    { bits: '11:9', name: 'ignored', value: (value >> 9n) & 7n, meaning: 'for software' },
    ...bitFields(value, PTE_BITS).reverse(),
  ];
  const access = (value & 2n) === 0n ? 'read-only' : 'writable';
  const owner = user ? 'user' : 'supervisor';
  const summary = present
    ? summaryOfPage(value, `${access} ${owner} page`, key)
    : 'not present: the other bits are software’s';
  return { what: 'pte', summary, fields };
}

const PS = 0x80n;
const FRAME = 0x000f_ffff_ffff_f000n;
const PAT_LARGE = 0x1000n;
/** Reserved in an entry of a 2 MiB page, and in one of a 1 GiB page too. */
const RESERVED_LARGE = 0x1f_e000n;

/** Bit 12 is PAT where PS=1 makes a large page; which level an entry is from, it does not say. */
function frameFields(value: bigint): DecodedField[] {
  const meaning = 'physical address (bits above MAXPHYADDR reserved)';
  if ((value & PS) === 0n) {
    return [{ bits: '51:12', name: 'frame', value: value & FRAME, meaning }];
  }
  const frame = value & FRAME & ~PAT_LARGE;
  const pat = 'PAT bit of a large page, or lowest bit of the frame in a 4 KiB entry';
  return [
    { bits: '51:13', name: 'frame', value: frame, meaning },
    { bits: '12', name: 'PAT', value: (value >> 12n) & 1n, meaning: pat },
  ];
}

function summaryOfPage(value: bigint, page: string, key: bigint): string {
  const frame = value & FRAME;
  if ((value & PS) === 0n) return `${page} at 0x${frame.toString(16)}, key ${key}`;
  const small = `in a page table a 4 KiB page at 0x${frame.toString(16)} with PAT=1`;
  if ((value & RESERVED_LARGE) !== 0n) {
    const why = 'as a large page bits 20:13 are reserved and must be 0';
    return `${page}, key ${key}: ${small} (${why})`;
  }
  const large = `a large page at 0x${(frame & ~PAT_LARGE).toString(16)}`;
  return `${page}, key ${key}: ${large} with PAT=${(value >> 12n) & 1n}, or ${small}`;
}

const ERROR_BITS: readonly Bit[] = [
  [
    0,
    'P',
    'no translation: a page or table is not present',
    'a translation exists: rights refused the access',
  ],
  [1, 'W/R', 'a read', 'a write'],
  [2, 'U/S', 'a supervisor-mode access', 'a user-mode access'],
  [3, 'RSVD', 'no reserved bit', 'a reserved bit is set in an entry'],
  [4, 'I/D', 'a data access', 'an instruction fetch'],
  [5, 'PK', 'not a protection key', 'a protection key denied the access'],
  [6, 'SS', 'not a shadow-stack access', 'a shadow-stack access'],
  [7, 'HLAT', 'not HLAT paging', 'HLAT paging'],
  [15, 'SGX', 'not SGX', 'an SGX access-control violation'],
];

/**
 * The error code that #PF pushes.
 *
 * @throws {RangeError} for bits that no processor sets.
 */
export function decodeErrorCode(value: bigint): Decoded {
  const known = ERROR_BITS.reduce((mask, [bit]) => mask | (1n << BigInt(bit)), 0n);
  const unknown = value & ~known;
  if (unknown !== 0n) throw new RangeError(`bits 0x${unknown.toString(16)} are reserved`);
  const has = (bit: bigint): boolean => (value & bit) !== 0n;
  const mode = has(4n) ? 'user' : 'supervisor';
  const access = has(16n) ? 'instruction fetch' : has(2n) ? 'write' : 'read';
  return {
    what: 'error-code',
    summary: `${mode} ${access}: ${reason(value)}`,
    fields: bitFields(value, ERROR_BITS),
  };
}

/** The words that Linux prints after `error_code(…) -`. */
function reason(value: bigint): string {
  if ((value & 1n) === 0n) return 'not-present page';
  if ((value & 8n) !== 0n) return 'reserved bit violation';
  return (value & 32n) === 0n ? 'permissions violation' : 'protection keys violation';
}

function bitFields(value: bigint, bits: readonly Bit[]): DecodedField[] {
  return bits.map(([bit, name, zero, one]) => {
    const field = (value >> BigInt(bit)) & 1n;
    return { bits: String(bit), name, value: field, meaning: field === 1n ? one : zero };
  });
}
