// The machine against raw arrays, and against v86: `node bench/x86-cpu.mjs [--json]`.
//
// Random addresses come from a xorshift generator inside both loops, so that both pay for making them.

import { IA32_PKRS, Machine, PageTables } from '@pkslab/x86-cpu';
import { median, row, time, timePair } from './measure.mjs';
import { SKIPPED, v86Loads } from './v86-loads.mjs';

const BASE = -0x7780_0000_0000;
const PAGE = 4096;
const LARGE = 0x20_0000;
const HUGE = 0x4000_0000;
const CR4_PKS = 1 << 24;
/** Where test pages' frames start. */
const FRAMES = 0x80_0000;

/** A machine that has mapped `length` bytes at BASE, onto `window` bytes of RAM over and over. */
function machineWith(length, size, window = length) {
  const machine = new Machine({ memory: FRAMES + window });
  const tables = new PageTables(machine, 0x10000);
  for (let at = 0; at < length; at += size) {
    tables.map(BASE + at, FRAMES + (at % window), { size, key: (at / size) % 16 });
  }
  machine.writeCr(3, tables.root);
  machine.writeCr(4, machine.readCr(4) | CR4_PKS);
  return { machine, tables };
}

// Loops are made from text, one function each: what one benchmark teaches the compiler is not the next one's.
const X = 'x ^= x << 13; x ^= x >>> 17; x ^= x << 5;';

/** A loop over random items: `expression` is what it reads, with the item's index in `i`. */
function randomLoop(expression, mask, names, values) {
  const body = `return (count) => { let s = 0, x = 2463534242;
    for (let n = 0; n < count; n++) { ${X} const i = x & ${mask}; s = (s + (${expression})) | 0; } return s; };`;
  return new Function(...names, body)(...values);
}

function loop(statement, names, values) {
  const body = `return (count) => { let s = 0; for (let n = 0; n < count; n++) { ${statement} } return s; };`;
  return new Function(...names, body)(...values);
}

function loads(pages, limit) {
  const bytes = pages * PAGE;
  const { machine } = machineWith(bytes, PAGE);
  const raw = new Int32Array(bytes / 4);
  const ours = randomLoop('m.load32(BASE + i * 4)', bytes / 4 - 1, ['m', 'BASE'], [machine, BASE]);
  const theirs = randomLoop('raw[i]', bytes / 4 - 1, ['raw'], [raw]);
  return row(`load32 / raw read, random over ${pages} pages`, timePair(ours, theirs, 2e6), limit);
}

function sequential() {
  const bytes = 256 * PAGE;
  const { machine } = machineWith(bytes, PAGE);
  const raw = new Int32Array(bytes / 4);
  const step = `s = (s + (READ)) | 0; i = (i + 1) & ${bytes / 4 - 1};`;
  const make = (read, names, values) =>
    new Function(
      ...names,
      `return (count) => { let s = 0, i = 0; for (let n = 0; n < count; n++) { ${step.replace('READ', read)} } return s; };`,
    )(...values);
  const pair = timePair(
    make('m.load32(BASE + i * 4)', ['m', 'BASE'], [machine, BASE]),
    make('raw[i]', ['raw'], [raw]),
    2e6,
  );
  return row('load32 / raw read, sequential over 256 pages', pair, null);
}

function narrowAndWide() {
  const bytes = 256 * PAGE;
  const { machine } = machineWith(bytes, PAGE);
  const raw8 = new Uint8Array(bytes);
  const raw64 = new BigUint64Array(bytes / 8);
  const rows = [];
  const one = timePair(
    randomLoop('m.load8(BASE + i)', bytes - 1, ['m', 'BASE'], [machine, BASE]),
    randomLoop('raw[i]', bytes - 1, ['raw'], [raw8]),
    2e6,
  );
  rows.push(row('load8 / raw read, random over 256 pages', one, 3));
  const eight = timePair(
    randomLoop('Number(m.load64(BASE + i * 8))', bytes / 8 - 1, ['m', 'BASE'], [machine, BASE]),
    randomLoop('Number(raw[i])', bytes / 8 - 1, ['raw'], [raw64]),
    1e6,
  );
  rows.push(row('load64 / raw BigUint64Array read, random over 256 pages', eight, 3));
  return rows;
}

function largePages() {
  const bytes = 256 * PAGE * 2;
  const { machine } = machineWith(bytes, LARGE);
  const raw = new Int32Array(bytes / 4);
  const pair = timePair(
    randomLoop('m.load32(BASE + i * 4)', bytes / 4 - 1, ['m', 'BASE'], [machine, BASE]),
    randomLoop('raw[i]', bytes / 4 - 1, ['raw'], [raw]),
    2e6,
  );
  return row('load32 / raw read, random over one 2 MiB page', pair, 3);
}

function stores() {
  const bytes = 256 * PAGE;
  const { machine } = machineWith(bytes, PAGE);
  const raw = new Int32Array(bytes / 4);
  const pair = timePair(
    randomLoop('(m.store32(BASE + i * 4, x), 0)', bytes / 4 - 1, ['m', 'BASE'], [machine, BASE]),
    randomLoop('(raw[i] = x)', bytes / 4 - 1, ['raw'], [raw]),
    2e6,
  );
  return row('store32 / raw write, random over 256 pages', pair, null);
}

function misses() {
  const bytes = 16384 * PAGE;
  const { machine } = machineWith(bytes, PAGE);
  const raw = new Int32Array(bytes / 4);
  const pair = timePair(
    randomLoop('m.load32(BASE + i * 4)', bytes / 4 - 1, ['m', 'BASE'], [machine, BASE]),
    randomLoop('raw[i]', bytes / 4 - 1, ['raw'], [raw]),
    3e5,
  );
  return row('load32 that misses 15 times of 16 / raw read, 16384 pages', pair, null);
}

function copies() {
  const window = 64 * 1024 * 1024;
  const near = machineWith(64 * PAGE, PAGE).machine;
  const bytes = new Uint8Array(64 * PAGE);
  const pages = (n) => `const a = (n * 7 & 63) * 4096, b = (n * 5 + 3 & 63) * 4096; ${n}`;
  const hot = timePair(
    loop(pages('m.copy(BASE + a, BASE + b, 4096);'), ['m', 'BASE'], [near, BASE]),
    loop(pages('raw.set(raw.subarray(b, b + 4096), a);'), ['raw'], [bytes]),
    2e5,
  );
  const far = machineWith(16 * HUGE, LARGE, window).machine;
  const raw = new Uint8Array(window);
  // 16 GiB of 2 MiB leaves over 64 MiB of RAM: the TLB sees 8192 pages, the caches see as many bytes as raw does.
  const random = (statement) =>
    `${X} const a = (x >>> 0) & ${(16 * 1024 * 1024) / 4 - 1}; ${X} const b = (x >>> 0) & ${(16 * 1024 * 1024) / 4 - 1}; ${statement}`;
  const body = (statement) =>
    `return (count) => { let x = 2463534242; for (let n = 0; n < count; n++) { ${random(statement)} } };`;
  const spread = timePair(
    new Function('m', 'BASE', body('m.copy(BASE + a * 4096, BASE + b * 4096, 4096);'))(far, BASE),
    new Function(
      'raw',
      body(
        'raw.set(raw.subarray((b & 16383) * 4096, (b & 16383) * 4096 + 4096), (a & 16383) * 4096);',
      ),
    )(raw),
    5e4,
  );
  return [
    row('copy of 4 KiB / raw set(subarray)', hot, 1.15),
    row('copy of 4 KiB / raw, random over 16 GiB of 2 MiB pages', spread, 1.15),
  ];
}

function keys() {
  const { machine, tables } = machineWith(512 * PAGE, PAGE);
  const slot = tables.entryAddress(BASE / PAGE, 1);
  for (let i = 0; i < 512; i++) machine.load32(BASE + i * PAGE);
  const write = loop('m.wrmsr(MSR, n & 1);', ['m', 'MSR'], [machine, IA32_PKRS]);
  // A key moves in 512 entries: read, write, invalidate each.
  const rekey = loop(
    `for (let i = 0; i < 512; i++) {
      const at = slot + i * 8;
      const low = m.readEntry(at);
      m.writeEntry(at, low, (m.resultHigh & 0x87ffffff | (n & 15) << 27) >>> 0);
      m.invlpg(BASE + i * 4096);
    }`,
    ['m', 'slot', 'BASE'],
    [machine, slot, BASE],
  );
  for (let i = 0; i < 3; i++) {
    write(1e6);
    rekey(100);
  }
  const pair = timePair(
    (n) => rekey(n / 500),
    (n) => write(n),
    1e5,
  );
  // timePair divides both by the same count: a rekeying is 500 of them.
  const ratio = pair.ratio * 500;
  return {
    name: 'keys of 512 PTEs with INVLPG / PKRS write',
    a: pair.a * 500,
    b: pair.b,
    ratio,
    limit: 500,
    atLeast: true,
    ok: ratio >= 500,
  };
}

function mapping() {
  const machine = new Machine({ memory: 16 * 1024 * 1024 });
  const tables = new PageTables(machine, 0x10000);
  const slots = [];
  for (let i = 0; i < 512; i++) slots.push(tables.entryAddress(BASE / PAGE + i * 512, 1));
  const map = () => {
    for (let i = 0; i < 512; i++)
      machine.fillEntries(slots[i], 512, (i * LARGE) | 0x163, 0x8000_0000);
  };
  for (let i = 0; i < 5; i++) map();
  const ns = time((count) => {
    for (let i = 0; i < count; i++) map();
  }, 20);
  return {
    name: 'pages a second, mapping 1 GiB by 4 KiB pages',
    rate: Math.round((512 * 512 * 1e9) / ns),
  };
}

/** Rows of the machine's benchmarks. */
export async function x86Benchmarks() {
  const rows = [
    loads(256, 3),
    loads(1024, 3),
    sequential(),
    largePages(),
    ...narrowAndWide(),
    stores(),
    misses(),
    ...copies(),
    keys(),
    mapping(),
  ];
  rows.push(await againstV86());
  return rows;
}

/** Loads over 256 random pages: our rate over v86's. */
async function againstV86() {
  const name = 'loads a second over 256 random pages, ours / v86 (32-bit, no keys)';
  const { machine } = machineWith(256 * PAGE, PAGE);
  const run = randomLoop('m.load32(BASE + i * 4)', 256 * 1024 - 1, ['m', 'BASE'], [machine, BASE]);
  const ours = [];
  const theirs = await v86Loads(() => ours.push(time(run, 5e6)));
  if (typeof theirs === 'string') return { name, note: theirs };
  const pairs = theirs.map((each, i) => [each, ours[i + SKIPPED]]);
  const ratio = median(pairs.map(([their, our]) => their / our));
  const [a, b] = [median(pairs.map(([, our]) => our)), median(theirs)];
  return { name, a, b, ratio, limit: 0.5, atLeast: true, ok: ratio >= 0.5 };
}

function format({ name, a, b, ratio, limit, ok, atLeast, rate, note }) {
  if (note !== undefined) return `${name}: ${note}`;
  if (rate !== undefined) return `${name.padEnd(70)} ${(rate / 1e6).toFixed(1)} M`;
  const target =
    limit === null ? '' : `  ${ok ? 'ok' : 'MISSED'} (${atLeast ? '≥' : '≤'} ${limit})`;
  return `${name.padEnd(70)} ${a.toFixed(1).padStart(9)} ns ${b.toFixed(1).padStart(9)} ns  ${ratio.toFixed(2)}${target}`;
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const rows = await x86Benchmarks();
  if (process.argv.includes('--json')) console.log(JSON.stringify({ x86: rows }, null, 2));
  else for (const line of rows) console.log(format(line));
}
