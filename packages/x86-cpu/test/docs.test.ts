// SPDX-License-Identifier: MIT
// The README's examples print what it says, and every @example of the sources holds.

import { readdirSync, readFileSync } from 'node:fs';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import * as cpu from '../src/index.ts';
import * as node from '../src/node/index.ts';
import { withTables } from './support.ts';
import { shippedSuite } from './vectors.ts';

const source = new URL('../src/', import.meta.url);

/** Runs plain TypeScript with names in scope; what it logged. */
function run(code: string, scope: Record<string, unknown>): string {
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  const body = outputText.replace(/^(import|export) .*$/gm, '');
  let printed = '';
  const console = {
    log: (text: unknown) => {
      printed += `${String(text)}\n`;
    },
  };
  const names = { ...cpu, ...node, console, ...scope };
  // Declarations of the example shadow what is given.
  new Function(...Object.keys(names), `{${body}}`)(...Object.values(names));
  return printed;
}

describe('README.md', () => {
  const text = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const examples = [...text.matchAll(/```ts\n(.*?)```\n\n```text\n(.*?)```/gs)];

  it.each(examples.map(([, code = '', output = '']) => ({ code, output })))(
    'prints what it says, example %#',
    ({ code, output }) => {
      expect(run(code, {})).toBe(output);
    },
  );

  it('has examples', () => {
    expect(examples).toHaveLength(3);
  });
});

/** Examples of a file: the lines after each @example. */
function examplesOf(file: string): { name: string; code: string }[] {
  const text = readFileSync(new URL(file, source), 'utf8');
  return [...text.matchAll(/@example\n(.*?)\n\s*\*\//gs)].map(([, block = ''], i) => ({
    name: `${file} ${i + 1}`,
    code: block.replace(/^\s*\* ?/gm, ''),
  }));
}

const files = readdirSync(source).filter((name) => name.endsWith('.ts'));

describe('@example', () => {
  it.each(files.flatMap(examplesOf))('of $name holds', ({ code }) => {
    const machine = new cpu.Machine();
    machine.writeCr(3, 0x1000);
    const { tables } = withTables();
    const checks: string[] = [];
    const checked = code.replace(/^(.+); \/\/ => (.+)$/gm, (_line, expression, value) => {
      checks.push(value);
      return `check(${expression}, (${value}));`;
    });
    run(checked, {
      machine,
      tables,
      suite: shippedSuite('4-level', 'cross'),
      check: (got: unknown, wanted: unknown) => expect(got).toEqual(wanted),
    });
    expect(code).not.toBe('');
  });
});
