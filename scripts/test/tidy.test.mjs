// SPDX-License-Identifier: MIT

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkTidy } from '../tidy.mjs';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidy-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function findings(code) {
  const file = join(folder, 'code.ts');
  writeFileSync(file, code);
  return checkTidy([file]).map(({ line, severity }) => `${line} ${severity}`);
}

/** A function of so many lines, its braces included. */
function functionOf(lines) {
  return `function f() {\n${'  g();\n'.repeat(lines - 2)}}\n`;
}

it.each([
  [50, []],
  [51, ['1 warning']],
  [70, ['1 warning']],
  [71, ['1 error']],
])('a function of %i lines gives %j', (lines, expected) => {
  expect(findings(functionOf(lines))).toEqual(expected);
});

it('counts a function from its own line, not from its comment', () => {
  expect(findings(`// why\n// and how\n${functionOf(50)}`)).toEqual([]);
  expect(findings(`// why\n// and how\n${functionOf(71)}`)).toEqual(['3 error']);
});

it.each([
  [500, []],
  [501, ['1 error']],
])('a file of %i lines gives %j', (lines, expected) => {
  expect(findings('// line\n'.repeat(lines))).toEqual(expected);
});

it('reads methods and arrow functions too', () => {
  const body = '  g();\n'.repeat(70);
  expect(findings(`class A {\n  m() {\n${body}  }\n}\n`)).toEqual(['2 error']);
  expect(findings(`const f = () => {\n${body}};\n`)).toEqual(['1 error']);
});
