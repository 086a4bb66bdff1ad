// Loads over 256 random pages in v86 (https://github.com/copy/v86): a guest of a few instructions, paging on.
//
// v86 is no dependency of this repository. Where `import('v86')` finds none, or PKSLAB_V86 names no folder of it,
// the row says so.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const LOADS = 20_000_000;
export const SKIPPED = 3; // rounds, while v86 compiles
const ROUNDS = 7;
const LOAD_ADDRESS = 0x10_0000;

/** Nanoseconds a load in each round, or why there is none; `between` runs between two rounds. */
export async function v86Loads(between) {
  const folder = findFolder();
  if (folder === null) return 'v86 is not installed: npm install --no-save v86, or set PKSLAB_V86';
  try {
    return await run(folder, between);
  } catch (error) {
    return `v86 does not run: ${error instanceof Error ? error.message : error}`;
  }
}

function findFolder() {
  const given = process.env.PKSLAB_V86;
  if (given !== undefined) return existsSync(join(given, 'build', 'libv86.mjs')) ? given : null;
  try {
    return join(fileURLToPath(import.meta.resolve('v86')), '..', '..');
  } catch {
    return null;
  }
}

async function run(folder, between) {
  const { V86 } = await import(pathToFileURL(join(folder, 'build', 'libv86.mjs')).href);
  const emulator = new V86({
    wasm_path: join(folder, 'build', 'v86.wasm'),
    memory_size: 64 * 1024 * 1024,
    autostart: false,
    disable_keyboard: true,
    disable_mouse: true,
    disable_speaker: true,
  });
  await Promise.race([
    new Promise((resolve) => emulator.add_listener('emulator-loaded', resolve)),
    timeout(20_000, 'it does not start'),
  ]);
  emulator.v86.cpu.load_multiboot(guest());
  const times = [];
  let last = process.hrtime.bigint();
  const done = new Promise((resolve) => {
    emulator.add_listener('serial0-output-byte', () => {
      const now = process.hrtime.bigint();
      times.push(Number(now - last) / LOADS);
      between();
      last = process.hrtime.bigint();
      if (times.length >= SKIPPED + ROUNDS) resolve();
    });
  });
  emulator.run();
  await Promise.race([done, timeout(60_000, 'the guest prints nothing')]);
  await emulator.stop();
  await emulator.destroy();
  return times.slice(SKIPPED);
}

function timeout(ms, what) {
  return new Promise((_resolve, reject) => {
    setTimeout(() => reject(new Error(what)), ms).unref();
  });
}

/** A multiboot image: maps 4 MiB by 4 KiB pages, then loads at xorshift addresses and prints a dot, for ever. */
function guest() {
  const word = (value) => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
  const code = [
    [0xbf, ...word(0x20_1000)], // mov edi, page table
    [0xb8, ...word(3)], // mov eax, present and writable
    [0xb9, ...word(1024)], // mov ecx, entries
    [0xab], // stosd
    [0x05, ...word(0x1000)], // add eax, 4096
    [0xe2, 0xf8], // loop to the stosd
    [0xc7, 0x05, ...word(0x20_0000), ...word(0x20_1003)], // mov [page directory], its only entry
    [0xb8, ...word(0x20_0000), 0x0f, 0x22, 0xd8], // mov cr3
    [0x0f, 0x20, 0xc0, 0x0d, ...word(0x8000_0000), 0x0f, 0x22, 0xc0], // or cr0, PG
  ];
  const round = [
    [0xb9, ...word(LOADS)], // mov ecx
    [0xbb, ...word(2463534242)], // mov ebx
    [0x31, 0xf6], // xor esi, esi
  ];
  const inner = [
    [0x89, 0xd8, 0xc1, 0xe0, 13, 0x31, 0xc3], // ebx ^= ebx << 13
    [0x89, 0xd8, 0xc1, 0xe8, 17, 0x31, 0xc3], // ebx ^= ebx >>> 17
    [0x89, 0xd8, 0xc1, 0xe0, 5, 0x31, 0xc3], // ebx ^= ebx << 5
    [0x89, 0xd8, 0x25, ...word(0x3_ffff)], // mov eax, ebx; and eax, words of 256 pages
    [0x03, 0x34, 0x85, ...word(0x30_0000)], // add esi, [eax * 4 + 3 MiB]
    [0x49], // dec ecx
  ];
  const end = [[0x66, 0xba, 0xf8, 0x03, 0xb0, 0x2e, 0xee]]; // mov dx, 0x3f8; mov al, '.'; out dx, al
  const innerBytes = inner.flat();
  innerBytes.push(0x75, 0x100 - (innerBytes.length + 2)); // jnz
  const loop = [...round.flat(), ...innerBytes, ...end.flat()];
  loop.push(0xe9, ...word(-(loop.length + 5) >>> 0)); // jmp
  const flags = 0x1_0000;
  const magic = 0x1bad_b002;
  const size = 32 + code.flat().length + loop.length;
  const header = [
    magic,
    flags,
    -(magic + flags) >>> 0,
    LOAD_ADDRESS,
    LOAD_ADDRESS,
    LOAD_ADDRESS + size,
    LOAD_ADDRESS + size,
    LOAD_ADDRESS + 32,
  ];
  const image = new Uint8Array(4096);
  image.set([...header.flatMap(word), ...code.flat(), ...loop]);
  return image.buffer;
}
