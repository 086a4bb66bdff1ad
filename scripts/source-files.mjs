// SPDX-License-Identifier: MIT
// Which source files a check reads, and how it reports what it found.

import { existsSync, readdirSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

/** Every .ts file under a folder, in a fixed order; folders named in `skip` are left out. */
export function typescriptFiles(folder, skip = []) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return skip.includes(entry.name) ? [] : typescriptFiles(path, skip);
      return /\.[cm]?ts$/.test(entry.name) ? [path] : [];
    });
}

/** `packages/kernel/src/task.ts:12`, with forward slashes, as an editor's terminal links it. */
export function place(root, file, line) {
  return `${relative(root, file).split(sep).join('/')}:${line}`;
}

/** The 1-based line on which a node begins, without the comments before it. */
export function lineOf(source, node) {
  return source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
}
