// SPDX-License-Identifier: MIT
// Rights over interrupts, NMIs, machine checks and faults that sleep, at every operation in turn.

import type { EventSource, Runner } from '@pkslab/kernel';
import { RUN_PKS } from '@pkslab/pks-core';
import { FAULTABLE, KIND_MASK, Op } from '@pkslab/x86-cpu';
import type { Bench, SelfTest } from './bench.ts';
import { KeyRig } from './key-rig.ts';

const VECTOR = 0x20;
/** A user address that may need a page fault first. */
const USER_BUFFER = 0x1000;

/** What a test fires. A machine check and an NMI run the same handlers. */
const FIRE: Readonly<Record<string, (runner: Runner) => void>> = {
  interrupt: (runner) => void runner.interrupt(VECTOR),
  NMI: (runner) => void runner.nmi(),
  'machine check': (runner) => runner.machineCheck(),
};

function fire(event: string): (runner: Runner) => void {
  return FIRE[event] as (runner: Runner) => void;
}

/** A task with a section; `handler` runs on interrupts, NMIs and machine checks. */
function rigWith(bench: Bench, handler: (rig: KeyRig) => void): KeyRig {
  const rig = new KeyRig(bench.boot());
  rig.kernel.entry.requestIrq(VECTOR, () => handler(rig));
  rig.kernel.entry.registerNmi(() => handler(rig));
  return rig;
}

/** Opens, stores, lets others run, stores, closes. */
function section(rig: KeyRig): () => void {
  return () => {
    rig.open();
    rig.check(rig.writable, 'the task cannot write in its section');
    rig.kernel.sched.schedule();
    rig.check(rig.writable, 'the task cannot write after it was switched back');
    rig.close();
    rig.check(!rig.writable, 'the task can write after its section');
    const value = rig.register;
    rig.check(value === rig.initValue, `the task is left with PKRS 0x${value.toString(16)}`);
  };
}

function spawnSection({ kernel }: KeyRig, task: () => void): void {
  kernel.spawn('task', task);
  kernel.spawn('other', () => kernel.sched.schedule());
}

function sectionUnder(bench: Bench, rig: KeyRig, event: string): void {
  const run = (): void => {
    rig.kernel.run();
    bench.problems.push(...rig.problems);
  };
  bench.atEveryBoundary(rig.kernel, fire(event), run, () => spawnSection(rig, section(rig)));
}

/** A handler finds every key closed, and the task its section as it was. */
function inSection(bench: Bench, event: string): void {
  const rig = rigWith(bench, (it) => it.expectClosed(`the handler of the ${event}`));
  sectionUnder(bench, rig, event);
}

/** A handler may have a section of its own. */
function handlerSection(bench: Bench, event: string): void {
  const rig = rigWith(bench, (it) => {
    it.open();
    it.check(it.writable, `the handler of the ${event} cannot write in its section`);
    it.close();
  });
  sectionUnder(bench, rig, event);
}

/** Three values of one key at a time: the task's, its interrupt handler's, and that of an NMI in there. */
function nested(bench: Bench): void {
  const rig = new KeyRig(bench.boot());
  rig.kernel.entry.requestIrq(VECTOR, () => {
    rig.open();
    rig.check(rig.writable, 'the interrupt handler cannot write in its section');
    rig.close();
  });
  rig.kernel.entry.registerNmi(() => rig.expectClosed('an NMI in an interrupt in a section'));
  for (let n = 1, reached = true; reached && bench.problems.length === 0; n++) {
    const source = new NestedEvents(n);
    spawnSection(rig, section(rig));
    rig.kernel.runner.attach(source);
    rig.kernel.run();
    rig.kernel.runner.attach(null);
    bench.problems.push(...rig.problems);
    reached = source.reached;
    if (bench.problems.length > 0) bench.problems.push(`with the NMI at its operation ${n}`);
  }
}

/** An interrupt at the first store, and an NMI a number of operations later. */
class NestedEvents implements EventSource {
  reached = false;
  readonly #n: number;
  #seen = -1;

  constructor(n: number) {
    this.#n = n;
  }

  boundary(runner: Runner, kind: number): void {
    if (this.#seen >= 0) {
      this.#seen++;
      if (this.#seen !== this.#n) return;
      this.reached = true;
      runner.nmi();
    } else if ((kind & KIND_MASK) === Op.store32) {
      this.#seen = 0;
      runner.interrupt(VECTOR);
      // What is left belongs to the task: the range of interest is the interrupt.
      if (!this.reached) this.#seen = Number.MAX_SAFE_INTEGER;
    }
  }
}

/** A fault on user memory inside a section sleeps, and others run meanwhile. */
function faultSleeps(bench: Bench): void {
  const rig = new KeyRig(bench.boot());
  const { kernel } = rig;
  const { machine } = kernel;
  kernel.spawn('task', () => {
    rig.open();
    machine.operate(Op.store32 | FAULTABLE, rig.page, USER_BUFFER, 3, 0);
    rig.check(rig.writable, 'the task cannot write after a fault that slept');
    rig.close();
    rig.expectClosed('the task after its section');
  });
  kernel.spawn('other', () => rig.expectClosed('a task that runs during the fault'));
  let faulted = false;
  kernel.runner.attach({
    boundary(runner, kind) {
      if ((kind & FAULTABLE) === 0 || faulted) return;
      faulted = true;
      runner.userPageFault(USER_BUFFER, true);
    },
  });
  kernel.run();
  bench.check(faulted, 'no fault came');
  bench.problems.push(...rig.problems);
}

/** The posted access table with an event at every operation. */
function rowsUnder(bench: Bench, event: string): void {
  const kernel = bench.boot();
  bench.atEveryBoundary(kernel, fire(event), () => {
    kernel.printk.clear();
    const result = kernel.call(() => {
      const file = kernel.debugfs.open(RUN_PKS);
      file.write('0');
      const text = file.read();
      file.release();
      return text;
    });
    bench.equal(`run_pks under an ${event}`, result, 'PASS\n');
    bench.problems.push(...kernel.dmesg.filter((line) => line.startsWith('pkey test FAILED')));
  });
}

export const entryTests: readonly SelfTest[] = [
  {
    name: 'interrupt-in-section',
    sentence: 'An interrupt at every operation finds every key closed; the section goes on.',
    origin: 'ours',
    run: (bench) => inSection(bench, 'interrupt'),
  },
  {
    name: 'nmi-in-section',
    sentence: 'An NMI at every operation, which no disabling of interrupts holds off.',
    origin: 'ours',
    run: (bench) => inSection(bench, 'NMI'),
  },
  {
    name: 'machine-check-in-section',
    sentence: 'A machine check at every operation.',
    origin: 'ours',
    run: (bench) => inSection(bench, 'machine check'),
  },
  {
    name: 'handler-section',
    sentence: 'An interrupt handler opens and closes the key that the task has open.',
    origin: 'ours',
    run: (bench) => handlerSection(bench, 'interrupt'),
  },
  {
    name: 'nmi-handler-section',
    sentence: 'An NMI handler opens and closes the key that the task has open.',
    origin: 'ours',
    run: (bench) => handlerSection(bench, 'NMI'),
  },
  {
    name: 'nested-entries',
    sentence:
      'A section, in it an interrupt handler with a section, in it an NMI at every operation.',
    origin: 'ours',
    run: nested,
  },
  {
    name: 'fault-sleeps',
    sentence: 'A fault on user memory inside a section sleeps; who runs meanwhile has no rights.',
    origin: 'ours',
    run: faultSleeps,
  },
  {
    name: 'rows-interrupted',
    sentence: 'The posted access table with an interrupt at every operation.',
    origin: 'ours',
    run: (bench) => rowsUnder(bench, 'interrupt'),
  },
  {
    name: 'rows-nmi',
    sentence: 'The posted access table with an NMI at every operation.',
    origin: 'ours',
    run: (bench) => rowsUnder(bench, 'NMI'),
  },
];
