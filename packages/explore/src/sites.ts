// SPDX-License-Identifier: MIT
// Operation sites: places in the kernel's code at which an operation stands.

import { kernelFrames, kernelPlaces, type SymbolNames } from '@pkslab/kernel';
import type { Machine } from '@pkslab/x86-cpu';
import type { Node } from './node.ts';
import { operationName } from './operation-text.ts';

/** A site: the kind of context, the kernel's function by its C name, and the operation. */
interface Site {
  readonly context: string;
  readonly function: string;
  readonly operation: string;
  /** Of the running code: it tells sites apart, and nobody else anything. */
  readonly line: number;
}

const NAMELESS = '?';

/** The sites that were asked for, by number. */
export class Sites {
  readonly #machine: Machine;
  readonly #symbols: SymbolNames;
  readonly #sites: Site[] = [];
  readonly #numbers = new Map<string, number>();

  constructor(machine: Machine, symbols: SymbolNames) {
    this.#machine = machine;
    this.#symbols = symbols;
  }

  /** The number of a node's site; `frames` is the host's stack at its operation. */
  numberOf(node: Node, frames: readonly string[]): number {
    const [place = { name: NAMELESS, line: 0 }] = kernelPlaces(frames, this.#symbols);
    const context = node.routine.key.split(':')[0] as string;
    const operation = operationName(this.#machine, node);
    const key = [context, place.name, operation, place.line].join();
    let number = this.#numbers.get(key);
    if (number === undefined) {
      const site = { context, function: place.name, operation, line: place.line };
      number = this.#sites.push(site) - 1;
      this.#numbers.set(key, number);
    }
    return number;
  }

  /** The kernel's function at a site. */
  functionAt(number: number): string {
    return this.#sites[number]?.function ?? '';
  }

  /**
   * A site in words: `irq dev_access_enable: get dev_page_access_ref`. The second place in a function that does the
   * same, counted from above among those that were asked for, has `(2)` behind it.
   */
  nameOf(number: number): string {
    const site = this.#sites[number];
    if (site === undefined) return '?';
    const text = textOf(site);
    const above = this.#sites.filter((one) => one.line < site.line && textOf(one) === text).length;
    return above === 0 ? text : `${text} (${above + 1})`;
  }
}

function textOf({ context, function: name, operation }: Site): string {
  // A task's own code may be a function without a name.
  return name === NAMELESS ? `${context}: ${operation}` : `${context} ${name}: ${operation}`;
}

/** The simulated kernel's functions in a host stack by their C names, innermost first. */
export function kernelBacktrace(frames: readonly string[], symbols: SymbolNames): string[] {
  const names = kernelFrames(frames, symbols);
  // A function and the strategy that it hands its work to have one name in C.
  return names.filter((name, i) => name !== names[i - 1]);
}
