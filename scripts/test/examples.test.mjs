// SPDX-License-Identifier: MIT

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageExamples, runExample } from '../testing/examples.ts';

const modules = { room: { twice: (value) => 2 * value } };
const run = (code, output) =>
  runExample({ place: 'here:1', code, ...(output === undefined ? {} : { output }) }, modules);

describe('an example', () => {
  it('passes where every value is as it says', async () => {
    await run('twice(2); // => 4');
    await run('twice(2); // => 4: twice as much');
    await run("import { twice } from 'room';\nconst x: number = twice(\n  3,\n); // => 6");
    await run("({ a: 'b: c' }); // => { a: 'b: c' }");
    await run('await Promise.resolve(1); // => 1');
  });

  it('fails where a value is another, with the place', async () => {
    await expect(run('twice(2); // => 5')).rejects.toThrow('here:1: // => 5');
    await expect(run('const x = twice(2); // => 5: why')).rejects.toThrow('here:1');
  });

  it('fails where it prints something else', async () => {
    await run("console.log('a', twice(1));", 'a 2\n');
    await expect(run("console.log('b');", 'a\n')).rejects.toThrow();
  });

  it('fails where it imports what its test does not give', async () => {
    await expect(run("import { x } from 'elsewhere';\nx;")).rejects.toThrow(/imports elsewhere/);
  });

  it('fails where there is no value to compare', async () => {
    await expect(run('if (true) twice(1); // => 2')).rejects.toThrow(/no value to compare/);
  });
});

describe('the examples of a package', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'examples-'));
    mkdirSync(join(folder, 'src'));
    const blocks = ['# x', '', '```ts', 'a();', '```', '', 'prints', '', '```text', 'A', '```'];
    const more = ['', '```sh', 'npm i', '```', '', '```js', 'b();', '```', ''];
    writeFileSync(join(folder, 'README.md'), [...blocks, ...more].join('\n'));
    const comment = [
      '/**',
      ' * Says.',
      ' *',
      ' * @example',
      ' * c(); // => 1',
      ' * @throws',
      ' */',
    ];
    writeFileSync(
      join(folder, 'src', 'x.ts'),
      [...comment, 'export const c = () => 1;'].join('\n'),
    );
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('are the ts and js blocks of the README, with the text block right after, and @example blocks', () => {
    expect(packageExamples(folder)).toEqual({
      readme: [
        { place: 'README.md:3', code: 'a();\n', output: 'A\n' },
        { place: 'README.md:17', code: 'b();\n' },
      ],
      documented: [{ place: 'src/x.ts:4', code: 'c(); // => 1' }],
    });
  });
});
