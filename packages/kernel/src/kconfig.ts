// SPDX-License-Identifier: MIT
// Kconfig: options of a build with their dependencies, settled once at boot. Documentation/kbuild/kconfig-language

import { EINVAL } from './errno.ts';
import { KernelError } from './kernel-error.ts';
import type { ConfigRequest, RevisionName } from './revision.ts';

/** What an option needs: a name, `!name` for one that must be off, or a list of which one is enough. */
export type Dependency = string | readonly string[];

/**
 * One bool option, as a Kconfig entry declares it.
 *
 * Modules list theirs in `KernelModule.config`; code asks `kernel.config.enabled(name)` where C has
 * `IS_ENABLED(CONFIG_name)`, and brings its stubs itself.
 */
export interface ConfigOption {
  /** Without CONFIG_. */
  readonly name: string;
  /** Whether it is on where nobody says so and its dependencies are met. */
  readonly default: boolean;
  /** `depends on`: all of them. */
  readonly depends?: readonly Dependency[];
  /** `select`: what it turns on. */
  readonly selects?: readonly string[];
  /** False for an option that only others select: it cannot be asked for. */
  readonly prompt?: boolean;
  /** The revisions that have it; default all. */
  readonly revisions?: readonly RevisionName[];
}

/** Options of the kernel itself: mm/Kconfig, arch/x86/Kconfig. */
export const kernelConfig: readonly ConfigOption[] = [
  { name: 'X86_64', default: true, prompt: false },
  { name: 'CPU_SUP_INTEL', default: true },
  { name: 'CPU_SUP_AMD', default: true },
  { name: 'HIGHMEM', default: false },
  { name: 'ZONE_DEVICE', default: true },
  { name: 'ARCH_HAS_SUPERVISOR_PKEYS', default: false, prompt: false },
  {
    name: 'X86_INTEL_MEMORY_PROTECTION_KEYS',
    default: true,
    depends: ['X86_64', ['CPU_SUP_INTEL', 'CPU_SUP_AMD']],
    selects: ['ARCH_HAS_SUPERVISOR_PKEYS'],
  },
  // Off here, unlike Linux's default: it costs a level in every walk and shows nothing else.
  { name: 'X86_5LEVEL', default: false, depends: ['X86_64'] },
];

/** The settled configuration of a boot. */
export class Kconfig {
  readonly #options: ReadonlyMap<string, ConfigOption>;
  readonly #request: ConfigRequest;
  readonly #on = new Set<string>();

  /** @throws {KernelError} EINVAL where the request cannot be met; the message says what to set. */
  constructor(options: readonly ConfigOption[], revision: RevisionName, request: ConfigRequest) {
    const known = options.filter(({ revisions }) => revisions?.includes(revision) ?? true);
    this.#options = new Map(known.map((option) => [option.name, option]));
    this.#request = request;
    for (const name of Object.keys(request)) this.#checkAskable(name);
    this.#settle();
    for (const [name, value] of Object.entries(request)) {
      if (value) this.#checkMet(name);
      else this.#checkUnselected(name);
    }
    Object.freeze(this);
  }

  /** IS_ENABLED(CONFIG_name): false for an option that this boot does not know. */
  enabled(name: string): boolean {
    return this.#on.has(name);
  }

  /** Whether this boot knows the option. */
  has(name: string): boolean {
    return this.#options.has(name);
  }

  /** Every option with its value, in alphabetical order: `.config`. */
  get all(): Readonly<Record<string, boolean>> {
    const names = [...this.#options.keys()].sort();
    return Object.fromEntries(names.map((name) => [name, this.enabled(name)]));
  }

  #checkAskable(name: string): void {
    const option = this.#options.get(name);
    if (option === undefined) {
      const names = [...this.#options.values()].filter(({ prompt }) => prompt !== false);
      throw new KernelError(
        EINVAL,
        `unknown config option ${name}: there is ${names.map((one) => one.name).join(', ')}`,
      );
    }
    if (option.prompt !== false) return;
    const selecting = this.#selectorsOf(name);
    const how = selecting.length > 0 ? `set ${selecting.join(' or ')}` : 'it is always so';
    throw new KernelError(EINVAL, `config ${name} cannot be set by itself: ${how}`);
  }

  #selectorsOf(name: string): readonly string[] {
    const all = [...this.#options.values()];
    return all.filter(({ selects }) => selects?.includes(name)).map((option) => option.name);
  }

  /** Turns options on until nothing changes. */
  #settle(): void {
    for (let before = -1; before !== this.#on.size; ) {
      before = this.#on.size;
      for (const option of this.#options.values()) this.#turnOnWhereDue(option);
    }
    // What an option that came on later excludes goes again.
    for (const option of this.#options.values()) {
      if (!this.#isSelected(option.name) && this.#unmet(option) !== null)
        this.#on.delete(option.name);
    }
  }

  /** Asked for, or so by default: with what it selects. */
  #turnOnWhereDue(option: ConfigOption): void {
    const wanted = this.#request[option.name] ?? option.default;
    if (wanted && this.#unmet(option) === null) this.#on.add(option.name);
    if (!this.#on.has(option.name)) return;
    for (const selected of option.selects ?? []) this.#on.add(selected);
  }

  #isSelected(name: string): boolean {
    return this.#selectorsOf(name).some((selecting) => this.#on.has(selecting));
  }

  /** What an option depends on and lacks, in words; null if nothing. */
  #unmet({ depends }: ConfigOption): string | null {
    const holds = (term: string): boolean =>
      term.startsWith('!') ? !this.#on.has(term.slice(1)) : this.#on.has(term);
    for (const dependency of depends ?? []) {
      const terms = typeof dependency === 'string' ? [dependency] : dependency;
      if (!terms.some(holds)) return terms.join(' || ');
    }
    return null;
  }

  #checkMet(name: string): void {
    if (this.#on.has(name)) return;
    const lacks = this.#unmet(this.#options.get(name) as ConfigOption) ?? '';
    throw new KernelError(
      EINVAL,
      `config ${name} depends on ${lacks}: set ${lacks.replaceAll('!', 'not ')} or leave ${name} out`,
    );
  }

  #checkUnselected(name: string): void {
    if (!this.#on.has(name)) return;
    const selecting = this.#selectorsOf(name).filter((one) => this.#on.has(one));
    throw new KernelError(
      EINVAL,
      `config ${name} is selected by ${selecting.join(', ')}: set that to false too`,
    );
  }
}
