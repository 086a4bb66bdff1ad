// The packages without operations: the same functions, classes and columns, with every question for a hook and
// every mark taken out of the built code, as the same logic written by hand without them would be.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const PACKAGES = ['x86-cpu', 'kernel', 'pks-core', 'memremap', 'kmap'];

/** What is taken out, and at how many places at least: fewer means that the code has changed, not that it is fast. */
const REMOVALS = [
  { what: 'tests for a watcher', pattern: /watched !== null/g, by: 'false', least: 15 },
  {
    what: 'windows',
    pattern: /^\s*this\.\w+\.(begin|end|handOver)\([\w.]*\);\n/gm,
    by: '',
    least: 8,
  },
];

const require = createRequire(import.meta.url);

/** Everything that the packages export, from copies without operations. */
export async function unhookedPackages() {
  const folder = mkdtempSync(join(tmpdir(), 'pkslab-unhooked-'));
  try {
    const counts = REMOVALS.map(() => 0);
    for (const name of PACKAGES) copyPackage(name, folder, counts);
    for (const [i, { what, least }] of REMOVALS.entries()) {
      if (counts[i] < least) throw new Error(`${what}: ${counts[i]} taken out, expected ${least}`);
    }
    const all = {};
    for (const name of PACKAGES) {
      Object.assign(all, await import(pathToFileURL(join(folder, `${name}.index.mjs`)).href));
    }
    return all;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Copies the built files of a package, side by side with those of the others. */
function copyPackage(name, folder, counts) {
  const dist = join(dirname(require.resolve(`@pkslab/${name}/package.json`)), 'dist');
  for (const file of readdirSync(dist)) {
    if (!file.endsWith('.js')) continue;
    let text = readFileSync(join(dist, file), 'utf8');
    text = text.replace(/from "@pkslab\/([\w-]+)"/g, 'from "./$1.index.mjs"');
    text = text.replace(/from "\.\/([\w-]+)\.js"/g, `from "./${name}.$1.mjs"`);
    for (const [i, { pattern, by }] of REMOVALS.entries()) {
      text = text.replace(pattern, () => {
        counts[i]++;
        return by;
      });
    }
    writeFileSync(join(folder, `${name}.${file.replace(/\.js$/, '.mjs')}`), text);
  }
}
