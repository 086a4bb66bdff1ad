// SPDX-License-Identifier: MIT
// Runs the examples of a package: the ts and js blocks of its README and the @example blocks of its source, against
// the build. A comment `// => value` after a statement says what it gives; a `text` block right after a ts
// block of the README says what that prints.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

export interface Example {
  /** Where it stands, as `README.md:12`. */
  readonly place: string;
  readonly code: string;
  /** What it prints, if the text says so. */
  readonly output?: string;
}

/** Packages that examples may import, by name. */
export type Modules = Readonly<Record<string, object>>;

/**
 * Declares one test for each example of a package.
 *
 * @param root the package's folder, as `new URL('..', import.meta.url)` of a test
 * @param modules what examples may import; in an `@example` all their exports are in scope
 */
export function testExamples(root: URL, modules: Modules): void {
  const { readme } = packageExamples(fileURLToPath(root));
  describe('README examples run and print what they say', () => {
    for (const example of readme) it(example.place, () => runExample(example, modules));
  });
  testDocumented(root, modules);
}

/**
 * Declares one test for each `@example` of a package.
 *
 * @param stage makes, for each of them, what it takes for granted: a device, say. It may declare the names itself.
 */
export function testDocumented(root: URL, modules: Modules, stage = (): object => ({})): void {
  const { documented } = packageExamples(fileURLToPath(root));
  if (documented.length === 0) return;
  describe('@example blocks run and give what they say', () => {
    for (const example of documented) {
      it(example.place, () => runExample(example, { ...modules, 'what is there': stage() }));
    }
  });
}

/** Declares one test for each example of a page of the documentation; `page` is its address. */
export function testPage(page: URL, modules: Modules): void {
  const path = fileURLToPath(page);
  describe(`the examples of ${path.split('/').pop()} run and print what they say`, () => {
    for (const example of pageExamples(path)) {
      it(example.place, () => runExample(example, modules));
    }
  });
}

/** The examples of the package in a folder. */
export function packageExamples(folder: string): {
  readonly readme: readonly Example[];
  readonly documented: readonly Example[];
} {
  return { readme: pageExamples(`${folder}/README.md`), documented: docExamples(folder) };
}

/** The ts blocks of a page; a `text` block that follows at once is the output. */
function pageExamples(path: string): readonly Example[] {
  const text = readFileSync(path, 'utf8');
  const name = path.split('/').pop();
  const blocks = [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)];
  const found: Example[] = [];
  blocks.forEach((block, i) => {
    if (block[1] !== 'ts' && block[1] !== 'js') return;
    const line = text.slice(0, block.index).split('\n').length;
    const end = block.index + block[0].length;
    const next = blocks[i + 1];
    const between = next === undefined ? '-' : text.slice(end, next.index);
    const printed = next?.[1] === 'text' && !between.includes('\n\n\n') && shortBridge(between);
    found.push({
      place: `${name}:${line}`,
      code: block[2] ?? '',
      ...(printed ? { output: next[2] ?? '' } : {}),
    });
  });
  return found;
}

/** At most one line of prose stands between code and its output. */
function shortBridge(between: string): boolean {
  return between.trim().split('\n').length <= 1;
}

/** The @example blocks of the JSDoc comments under src. */
function docExamples(folder: string): readonly Example[] {
  const files = readdirSync(`${folder}/src`, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .sort();
  return files.flatMap((file) => {
    const text = readFileSync(`${folder}/src/${file}`, 'utf8');
    return [...text.matchAll(/\/\*\*.*?\*\//gs)].flatMap((comment) => {
      const at = text.slice(0, comment.index).split('\n').length;
      return examplesOfComment(comment[0], `src/${file}`, at);
    });
  });
}

function examplesOfComment(comment: string, file: string, at: number): readonly Example[] {
  const lines = comment.split('\n').map((line) => line.replace(/^\s*\*\/?\s?|^\s*\/\*\*/, ''));
  const found: Example[] = [];
  lines.forEach((line, i) => {
    if (!line.startsWith('@example')) return;
    const rest = lines.slice(i + 1);
    const end = rest.findIndex((one) => one.startsWith('@'));
    const code = (end < 0 ? rest : rest.slice(0, end)).filter((one) => !one.startsWith('```'));
    found.push({ place: `${file}:${at + i}`, code: code.join('\n').replace(/\*\/$/, '') });
  });
  return found;
}

/** Runs an example with everything in scope, and compares what it gives and prints. */
export async function runExample(example: Example, modules: Modules): Promise<void> {
  const printed: string[] = [];
  const scope: Record<string, unknown> = {
    console: { log: (...values: unknown[]) => printed.push(values.map(show).join(' ')) },
    require: (name: string) => {
      const found = modules[name];
      assert(
        found !== undefined,
        `${example.place}: imports ${name}, which its test does not give`,
      );
      return found;
    },
    exports: {},
    check: (value: unknown, text: string) => checkValue(value, text, example.place),
  };
  const names = new Map<string, unknown>();
  for (const module of Object.values(modules)) {
    for (const [name, value] of Object.entries(module)) names.set(name, value);
  }
  const js = ts.transpileModule(withChecks(example.code), {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS },
  }).outputText;
  const parameters = [...Object.keys(scope), ...names.keys()];
  const values = [...Object.values(scope), ...names.values()];
  const body = `{ ${js}\n }`;
  await Reflect.construct(asyncFunction, [...parameters, body])(...values);
  if (example.output !== undefined) expect(`${printed.join('\n')}\n`).toBe(example.output);
}

const asyncFunction = Object.getPrototypeOf(async () => {}).constructor as FunctionConstructor;

function show(value: unknown): string {
  return typeof value === 'string' ? value : inspect(value);
}

/** Puts a check where a statement has its value in a comment: `f(1); // => 2: why`. */
function withChecks(code: string): string {
  const source = ts.createSourceFile('example.ts', code, ts.ScriptTarget.ES2022, true);
  let result = '';
  let done = 0;
  for (const statement of source.statements) {
    const { end } = statement;
    const expected = /^[ \t]*\/\/ => (.*)/.exec(code.slice(end))?.[1];
    if (expected === undefined) continue;
    const text = JSON.stringify(expected);
    const start = statement.getStart(source);
    if (ts.isExpressionStatement(statement)) {
      const expression = statement.expression.getText(source);
      result += `${code.slice(done, start)}check((${expression}), ${text});`;
    } else if (ts.isVariableStatement(statement)) {
      const name = statement.declarationList.declarations[0]?.name.getText(source);
      result += `${code.slice(done, end)}check(${name}, ${text});`;
    } else {
      throw new Error(`no value to compare with // => ${expected}`);
    }
    done = end;
  }
  return result + code.slice(done);
}

/** The text is an expression, or an expression, a colon and why. */
function checkValue(value: unknown, text: string, place: string): void {
  const cuts = [text.length, ...[...text.matchAll(/: /g)].map((cut) => cut.index).reverse()];
  for (const cut of cuts) {
    const expected = evaluate(text.slice(0, cut));
    if (expected === undefined) continue;
    assert.deepStrictEqual(value, expected.value, `${place}: // => ${text}`);
    return;
  }
  assert.equal(inspect(value), text, `${place}: // => ${text}`);
}

function evaluate(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: new Function(`return (${text});`)() };
  } catch {
    return undefined;
  }
}
