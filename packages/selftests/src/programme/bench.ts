// SPDX-License-Identifier: MIT
// What a test of the programme is given: kernels to boot, and a place for what went wrong.

import {
  type BootOptions,
  boot,
  type Kernel,
  type KernelModule,
  noChoices,
  type RevisionRequest,
  type Runner,
} from '@pkslab/kernel';
import { pksTest } from '@pkslab/pks-core';
import { CHUNK_SIZE } from '@pkslab/x86-cpu';
import { stackModules } from '../stack.ts';

/** Refusals of one access before it counts as refused for ever. */
const REFUSALS_MAX = 500;

/** An access was declared fit to be tried again, over and over, and refused each time (I15). */
export class EndlessFault extends Error {
  override readonly name = 'EndlessFault';
}

/** Not a failure: the test cannot say anything here. */
export class TestSkipped extends Error {
  override readonly name = 'TestSkipped';
}

/** Stops a kernel whose fault handler lets an access through that is refused all the same. */
const refusalGuard: KernelModule<null> = {
  name: 'refusal-guard',
  ...noChoices,
  create(kernel: Kernel): null {
    let last = 0;
    let refusals = 0;
    kernel.slots.keyFault.push((_regs, _errorCode, address) => {
      refusals = address === last ? refusals + 1 : 1;
      last = address;
      if (refusals <= REFUSALS_MAX) return false;
      throw new EndlessFault(
        `the same access was let through and refused ${REFUSALS_MAX} times: no progress`,
      );
    });
    return null;
  },
};

/** Every module that the programme boots, lowest first. */
export const programmeModules: readonly KernelModule<unknown>[] = Object.freeze([
  refusalGuard,
  ...stackModules.slice(0, 1),
  pksTest,
  ...stackModules.slice(1),
]);

/** Where a test runs. */
export class Bench {
  readonly request: RevisionRequest;
  /** What went wrong; none is a pass. */
  readonly problems: string[] = [];
  readonly #extra: readonly KernelModule<unknown>[];

  constructor(request: RevisionRequest, extra: readonly KernelModule<unknown>[] = []) {
    this.request = request;
    this.#extra = extra;
  }

  /** Boots the whole stack under the request; one CPU unless said otherwise. */
  boot(options: BootOptions = {}): Kernel {
    return boot({
      memory: 4 * CHUNK_SIZE,
      tasks: 16,
      ...this.request,
      ...options,
      with: { ...this.request.with, ...options.with },
      config: { ...this.request.config, ...options.config },
      modules: [...programmeModules, ...this.#extra, ...(options.modules ?? [])],
    });
  }

  check(holds: boolean, problem: string): void {
    if (!holds) this.problems.push(problem);
  }

  equal(what: string, actual: string | number, expected: string | number): void {
    this.check(
      actual === expected,
      `${what}: ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`,
    );
  }

  /** @throws {TestSkipped} always. */
  skip(reason: string): never {
    throw new TestSkipped(reason);
  }

  /**
   * Runs a scenario on one kernel, first as it is, then once for each of its operation boundaries with an event
   * at that one, until the first problem.
   *
   * @param run does the work, which leaves the kernel as it was, and checks
   * @param prepare runs before each, without events
   */
  atEveryBoundary(
    kernel: Kernel,
    fire: (runner: Runner) => void,
    run: () => void,
    prepare: () => void = () => {},
  ): void {
    for (let n = 0, reached = true; reached && this.problems.length === 0; n++) {
      let seen = 0;
      prepare();
      kernel.runner.attach({
        boundary(runner) {
          seen++;
          if (seen === n) fire(runner);
        },
      });
      run();
      kernel.runner.attach(null);
      reached = seen >= n;
      if (this.problems.length > 0 && n > 0) {
        this.problems.push(`with the event at boundary ${n}`);
      }
    }
  }
}

/** What Kconfig options can take away from a test: keys, their programme, or the protection of devices. */
export type Need = 'keys' | 'programme' | 'devices';

/** One test of the programme. */
export interface SelfTest {
  readonly name: string;
  /** What passes if it passes. */
  readonly sentence: string;
  /** RFC V2's own, judged as it judges itself, or written here. */
  readonly origin: 'posted' | 'ours';
  /** Where these are configured out the test is skipped. */
  readonly needs?: readonly Need[];
  /** Notes problems on the bench; an error of the simulated kernel is a problem too. */
  run(bench: Bench): void;
}
