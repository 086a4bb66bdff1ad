// SPDX-License-Identifier: MIT
// Which code of the protocol's functions never ran, by the host's own coverage: sites that nothing reached have no name.

import { type Profiler, Session } from 'node:inspector/promises';

/** The packages that the protocol's functions are in. */
const PACKAGES = /packages\/(kernel|pks-core|memremap|kmap)\/(dist|src)/;

/** A part of a function that never ran, though the function did. */
export interface Block {
  readonly function: string;
  readonly code: string;
}

/** Runs `body`, and gives the blocks of some functions that never ran in this process. */
export async function blocksNeverRun(
  functions: ReadonlySet<string>,
  body: () => void,
): Promise<Block[]> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Debugger.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: false, detailed: true });
  body();
  const { result } = await session.post('Profiler.takePreciseCoverage');
  const blocks: Block[] = [];
  for (const script of result.filter(({ url }) => PACKAGES.test(url))) {
    const { scriptId } = script;
    const { scriptSource } = await session.post('Debugger.getScriptSource', { scriptId });
    for (const one of script.functions) {
      if (functions.has(nameOf(one))) blocks.push(...blocksOf(one, scriptSource));
    }
  }
  session.disconnect();
  return blocks;
}

function blocksOf(one: Profiler.FunctionCoverage, source: string): Block[] {
  const [whole, ...parts] = one.ranges;
  // Code of a choice that reference does not make.
  if (whole === undefined || whole.count === 0) return [];
  return parts
    .filter(({ count }) => count === 0)
    .map(({ startOffset, endOffset }) => ({
      function: nameOf(one),
      code: source.slice(startOffset, endOffset),
    }));
}

/** `#condResched` and `condResched` are one name: a bundler may have renamed a private method. */
function nameOf({ functionName }: Profiler.FunctionCoverage): string {
  return functionName.replace(/^.*[.#]/, '');
}
