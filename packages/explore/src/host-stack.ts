// SPDX-License-Identifier: MIT
// The simulated kernel's functions in a stack of the host.

import { kernelFrames, type SymbolNames } from '@pkslab/kernel';

/** Classes by which code reaches the machine, and what runs routines: no functions of the kernel. */
const MACHINERY =
  /^(Tries|\w*Column|PerCpu|MarkWindow|Machine\w*|Recorder|Runner)\.|^(learn|run)\b|^(new|Object|Array|hostStack)\b/;

const TAKER = /^\s*at (hostStack|Tries\.operate) /;

const RUNNER = /^Tries\.|^run\b/;

/** The simulated kernel's functions in a host stack by their C names, innermost first. */
export function kernelBacktrace(stack: string, symbols: SymbolNames): readonly string[] {
  const frames = stack.split('\n').slice(1);
  // Above the kernel's functions stands the machinery that took the stack.
  const own = frames.findLastIndex((frame) => TAKER.test(frame));
  const names = kernelFrames(frames.slice(own + 1), symbols);
  // A function and the strategy that it hands its work to have one name in C.
  return names.filter((name, i) => name !== names[i - 1]);
}

/** The host's stack: so many frames of it, where the host lets that be asked for. */
export function hostStack(frames = 100): string {
  const host = Error as unknown as { stackTraceLimit?: number };
  const limit = host.stackTraceLimit;
  host.stackTraceLimit = frames;
  const { stack } = new Error('stack');
  if (limit !== undefined) host.stackTraceLimit = limit;
  return stack ?? '';
}

/** The simulated kernel's functions in a host stack, innermost first, with the line; `most` of them. */
export function kernelFunctions(stack: string, most = 100): string[] {
  const names: string[] = [];
  for (const line of stack.split('\n').slice(1)) {
    const match = /^\s*at (.+?) \(.*?(\d+):\d+\)$/.exec(line);
    if (match?.[1] === undefined) continue;
    // Hosts differ in how they name getters and private methods.
    const name = match[1]
      .replace(/ \[as .+\]$/, '')
      .replace(/\b[gs]et /, '')
      .replace('#', '');
    // Whatever runs routines stands under their first frame.
    if (names.length > 0 && RUNNER.test(name)) break;
    if (!MACHINERY.test(name) && names.push(`${name}:${match[2]}`) === most) break;
  }
  return names;
}
