// SPDX-License-Identifier: MIT

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkKernelRules } from '../kernel-rules.mjs';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kernel-rules-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function check(code) {
  const file = join(folder, 'code.ts');
  writeFileSync(file, code);
  return checkKernelRules([file]);
}

/** The rules that a piece of code breaks, as `line rule`. */
function broken(code) {
  return check(code).problems.map(({ line, rule }) => `${line} ${rule}`);
}

describe('code that breaks a rule', () => {
  it.each([
    ['let at module level', 'let count = 0;', '1 module-state'],
    ['an exported let', 'export let count = 0;', '1 module-state'],
    ['var at module level', 'var count = 0;', '1 module-state'],
    ['a static field', 'class A {\n  static count = 0;\n}', '2 module-state'],
    ['a Map', 'const tasks = new Map<number, string>();', '1 mutable-collection'],
    ['a Map with entries', 'export const names = new Map([[1, 2]]);', '1 mutable-collection'],
    ['a Set', 'const seen = new Set();', '1 mutable-collection'],
    ['a WeakMap', 'const views = new WeakMap();', '1 mutable-collection'],
    ['a typed array', 'const ram = new Uint8Array(4096);', '1 mutable-collection'],
    ['a typed array of values', 'const t = Uint32Array.of(1, 2);', '1 mutable-collection'],
    ['a buffer', 'const ram = new ArrayBuffer(4096);', '1 mutable-collection'],
    ['an empty array', 'const list: number[] = [];', '1 mutable-collection'],
    ['an array behind a cast', 'const list = [] as number[];', '1 mutable-collection'],
    ['an array that could be written', 'const list = [1, 2];', '1 mutable-collection'],
    ['an empty object', 'const byName: Record<string, number> = {};', '1 mutable-collection'],
    ['a static Map', 'class A {\n  static readonly all = new Map();\n}', '2 mutable-collection'],
    ['an async function', 'async function f(): X {}', '1 suspension'],
    ['an async arrow', 'const f = async () => 1;', '1 suspension'],
    ['an async method', 'class A {\n  async f() {}\n}', '2 suspension'],
    ['await', 'const x = await f();', '1 suspension'],
    ['a generator', 'function* f() {}', '1 suspension'],
    ['a generator method', 'class A {\n  *f() {}\n}', '2 suspension'],
    ['a Promise made', 'const p = Promise.resolve(1);', '1 suspension'],
    ['a Promise as a type', 'export type P = Promise<number>;', '1 suspension'],
    ['import()', "const p = import('./a.ts');", '1 suspension'],
    ['catch', 'function f() {\n  try {\n    g();\n  } catch {}\n}', '2 catch'],
    ['finally', 'function f() {\n  try {\n    g();\n  } finally {}\n}', '2 catch'],
    ['Date', 'const now = () => Date.now();', '1 host-global'],
    ['new Date', 'const now = () => new Date();', '1 host-global'],
    ['performance', 'const now = () => performance.now();', '1 host-global'],
    ['Math.random', 'const dice = () => Math.random();', '1 host-global'],
    ['setTimeout', 'setTimeout(f, 1);', '1 host-global'],
    ['console', "console.log('x');", '1 host-global'],
    ['process', 'const env = process.env;', '1 host-global'],
    ['globalThis', "const p = globalThis['process'];", '1 host-global'],
    ['a host global passed on', 'f({ process });', '1 host-global'],
    ['for … in', 'for (const k in o) f(k);', '1 for-in'],
  ])('%s is found', (_, code, expected) => {
    expect(broken(code)).toEqual([expected]);
  });

  it('is found inside functions, at its own line', () => {
    expect(
      broken('export function f(): number {\n  const a = 1;\n  return a + Date.now();\n}'),
    ).toEqual(['3 host-global']);
  });

  it('comes with what to do about it', () => {
    const [problem] = check('let count = 0;').problems;
    expect(problem?.what).toBe('module-level let or var count');
    expect(problem?.remedy).toContain('declare a cell');
  });

  it('is not excused by a comment that stands further up', () => {
    const code = 'function f() {\n  // kernel-rules: task boundary\n\n  try {} finally {}\n}';
    expect(broken(code)).toEqual(['4 catch']);
  });
});

describe('code that keeps the rules', () => {
  it.each([
    ['a constant', 'export const IA32_PKRS = 0x6e1;'],
    ['let in a function', 'export function f(): number {\n  let n = 0;\n  n++;\n  return n;\n}'],
    ['a collection in a function', 'export function f(): number {\n  return new Map().size;\n}'],
    ['an instance field', 'export class A {\n  #views = new Map();\n}'],
    ['a declared let', 'declare let outside: number;'],
    ['as const', 'export const NAMES = [1, 2] as const;'],
    ['a frozen array', 'export const NAMES = Object.freeze([1, 2]);'],
    ['a readonly array', 'export const NAMES: readonly number[] = [1, 2];'],
    ['a ReadonlyMap', 'export const NAMES: ReadonlyMap<number, string> = new Map();'],
    ['a constant typed array', 'const T: ArrayLike<number> = Uint32Array.of(1, 2);'],
    ['a readonly static', 'class A {\n  static readonly SIZE = 4;\n}'],
    ['a strategy object', 'export const strict: Rule = { check: () => true };'],
    ['Math without random', 'const a = Math.max(1, 2);'],
    ['a property with a host name', 'export const f = (task: T) => task.process + task.Date;'],
    [
      'a local with a host name',
      'export function f(process: T): U {\n  return g(process, { process });\n}',
    ],
    ['an imported host name', "import { performance } from './counters.ts';\nperformance.read();"],
    ['a host name as a key', 'export const T: K = { console: 1, process: 2 };'],
    [
      'for … of',
      'export function f(xs: readonly number[]): void {\n  for (const x of xs) g(x);\n}',
    ],
    ['throw', "export function f(): never {\n  throw new Error('x');\n}"],
  ])('%s passes', (_, code) => {
    expect(broken(code)).toEqual([]);
  });

  it('may catch at a task boundary, which is listed', () => {
    const code =
      'function f() {\n  // kernel-rules: task boundary\n  try {\n    g();\n  } catch {}\n}';
    const { problems, boundaries } = check(code);
    expect(problems).toEqual([]);
    expect(boundaries.map(({ line }) => line)).toEqual([3]);
  });
});
