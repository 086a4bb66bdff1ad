// SPDX-License-Identifier: MIT
// Makes the cases of a suite of the conformance vectors.

import { KINDS, type VectorAccess } from './vector-access.ts';
import {
  COMMON,
  entryNamed,
  FAMILIES,
  type Family,
  KEYS_OWN,
  noBase,
  type Setter,
  setKeys,
  setRights,
  setState,
} from './vector-families.ts';
import { type CaseState, leafLevelOf, resetCase, type VectorCase } from './vector-state.ts';
import { VectorError, type VectorSuite } from './vectors.ts';
/**
 * Makes the cases of a suite, each into the same `state`.
 */
export class CaseReader {
  readonly state: CaseState;
  readonly #suite: VectorSuite;
  readonly #setters: readonly Setter[];
  readonly #family: Family;
  readonly #values: Int32Array;
  readonly #leafLevel: number;
  /** Cases in a row that differ only in the access. */
  readonly #kinds: number;
  #group = -1;

  constructor(suite: VectorSuite) {
    this.#suite = suite;
    const family = FAMILIES.find(({ pattern }) => pattern.test(suite.suite));
    if (family === undefined) throw unknown(suite, `suite ${suite.suite} is not known`);
    this.#family = family;
    this.#leafLevel = leafLevelOf(suite.suite);
    this.#values = new Int32Array(suite.dims.length);
    const last = suite.dims[suite.dims.length - 1];
    this.#kinds = last?.name === 'kind' ? last.count : 1;
    this.state = {
      suite: suite.suite,
      index: -1,
      levels: suite.paging === '5-level' ? 5 : 4,
      maxphyaddr: suite.maxphyaddr,
      registers: { cr0: 0, cr4: 0, efer: 0, ac: false, pkru: 0, pkrs: 0 },
      entries: [],
      secondLeaf: null,
      access: KINDS[0] as VectorAccess,
    };
    resetCase(this.state, this.#leafLevel);
    this.#setters = suite.dims.map(({ name }) => this.#setterOf(name));
  }

  #setterOf(name: string): Setter {
    const own = this.#family.setters[name];
    if (own !== undefined) return own;
    if (this.#suite.suite === 'keys' && KEYS_OWN.has(name)) return noBase;
    const common = COMMON[name];
    if (common !== undefined) return common;
    const level = /^[fs](\d|leaf)$/.test(name);
    if (level && name.startsWith('f') && this.#suite.suite.startsWith('levels')) {
      return (state, value) => setRights(entryNamed(state, name), value);
    }
    if (level && name.startsWith('s') && this.#suite.suite.startsWith('states')) {
      return (state, value) => setState(state, entryNamed(state, name), value);
    }
    throw unknown(this.#suite, `dimension ${name} of suite ${this.#suite.suite} is not known`);
  }

  /** Fills `state` with a case; true if anything but the kind of access changed since the last one. */
  read(index: number): boolean {
    const { dims } = this.#suite;
    const group = Math.floor(index / this.#kinds);
    const changed = group !== this.#group;
    this.#group = group;
    this.state.index = index;
    if (changed) {
      let rest = index;
      for (let i = dims.length - 1; i >= 0; i--) {
        const count = dims[i]?.count as number;
        this.#values[i] = rest % count;
        rest = Math.floor(rest / count);
      }
      this.#rebuild();
    } else {
      this.#setters[dims.length - 1]?.(this.state, index % this.#kinds);
    }
    return changed;
  }

  #rebuild(): void {
    const { state } = this;
    if (this.#suite.suite === 'keys') {
      const named = this.#suite.dims.map(
        ({ name }, i) => [name, this.#values[i] as number] as const,
      );
      setKeys(state, new Map(named));
    } else {
      resetCase(state, this.#leafLevel);
    }
    this.#family.base(state);
    for (const [i, set] of this.#setters.entries()) set(state, this.#values[i] as number);
  }
}

function unknown(suite: VectorSuite, what: string): VectorError {
  return new VectorError(suite.file, 0, `${what}: a foreign set, or a newer format`);
}

/**
 * One case of a suite, as data of its own.
 *
 * @example
 * vectorCase(suite, 0).access.name; // => 'supervisor read'
 */
export function vectorCase(suite: VectorSuite, index: number): VectorCase {
  if (!Number.isInteger(index) || index < 0 || index >= suite.cases) {
    throw new RangeError(`case ${index}: suite ${suite.suite} has ${suite.cases}`);
  }
  const reader = new CaseReader(suite);
  reader.read(index);
  return reader.state;
}
