// The protocol of pks.pml as a scenario: the same operations of tasks, handlers and switch, on a kernel
// without modules. Entry, exit and schedule are the kernel's own, which is some operations more.

import { invariant, scenario } from '@pkslab/explore';
import { boot, Mark } from '@pkslab/kernel';
import { PerCpu } from '@pkslab/x86-cpu';

const OPEN = 0;
const INIT = 1;

const field = (name, per, initial) => ({ name: `peer.${name}`, type: 'u8', per, initial });
const msrField = field('msr', 'cpu', INIT);
const cacheField = field('cache', 'cpu', INIT);
const refField = field('ref', 'task', 0);
const savedField = field('saved', 'task', INIT);

/** Two tasks and both kinds of handler: enable, access, access, disable. */
export const peerScenario = scenario({
  name: 'peer',
  title: 'the mini protocol of pks.pml',
  budget: { irq: 1, nmi: 1, preempt: 2, pageFault: 0 },
  setup(request) {
    const kernel = boot({ ...request, memory: 8 * 1024 * 1024, tasks: 8 });
    const { machine } = kernel;
    const protocol = new Protocol(kernel);
    const section = () => {
      protocol.enable();
      protocol.access();
      protocol.access();
      protocol.disable();
    };
    kernel.entry.requestIrq(0x20, section);
    kernel.entry.registerNmi(section);
    const tasks = [kernel.spawn('A', section), kernel.spawn('B', section)];
    const { values } = machine.column(msrField);
    const closed = invariant({
      id: 'probe',
      text: 'a handler starts closed, a task ends closed',
      mark: ({ cpu }, id) =>
        (id === Mark.handlerBody || id === Mark.exit) && values[cpu] !== INIT ? 'open' : null,
    });
    const access = invariant({
      id: 'access',
      text: 'an access finds the register open',
      mark: ({ cpu }, id) => (id === Mark.grant && values[cpu] !== OPEN ? 'closed' : null),
    });
    return { kernel, tasks, invariants: [closed, access] };
  },
});

class Protocol {
  constructor(kernel) {
    const { machine, slots, tasks } = kernel;
    this.machine = machine;
    this.preempt = kernel.preempt;
    this.tasks = tasks;
    this.msr = new PerCpu(machine.column(msrField));
    this.cache = new PerCpu(machine.column(cacheField));
    this.ref = machine.column(refField);
    this.saved = machine.column(savedField);
    const words = [0, 1, 2, 3].map(() => slots.reserveEntryWord());
    slots.entrySave.push((state) => this.save(state, words));
    slots.entryRestore.push((state) => this.restore(state, words));
    slots.switchIn.push((next) => this.write(this.saved.get(next)));
  }

  write(value) {
    this.preempt.disable();
    if (this.cache.read() !== value) {
      this.cache.write(value);
      this.msr.write(value);
    }
    this.preempt.enable();
  }

  /** The two writes of an entry: an NMI may find cache and register different. */
  save({ words }, [ref, saved, cache, msr]) {
    const { current } = this.tasks;
    words[ref] = this.ref.get(current);
    this.ref.set(current, 0);
    words[saved] = this.saved.get(current);
    this.saved.set(current, INIT);
    words[cache] = this.cache.read();
    words[msr] = this.msr.read();
    this.cache.write(INIT);
    this.msr.write(INIT);
  }

  restore({ words }, [ref, saved, cache, msr]) {
    const { current } = this.tasks;
    this.cache.write(words[cache]);
    this.msr.write(words[msr]);
    this.saved.set(current, words[saved]);
    this.ref.set(current, words[ref]);
  }

  enable() {
    const flags = this.machine.pushfCli();
    const { current } = this.tasks;
    const ref = this.ref.get(current);
    if (ref === 0) {
      this.saved.get(current);
      this.saved.set(current, OPEN);
      this.write(OPEN);
    }
    this.ref.set(current, ref + 1);
    this.machine.popfIf(flags);
  }

  access() {
    this.machine.mark(Mark.grant, 1);
    this.msr.read();
    this.machine.mark(Mark.grant, 0);
  }

  disable() {
    const flags = this.machine.pushfCli();
    const { current } = this.tasks;
    const ref = this.ref.get(current);
    this.ref.set(current, ref - 1);
    if (ref === 1) {
      this.saved.get(current);
      this.saved.set(current, INIT);
      this.write(INIT);
    }
    this.machine.popfIf(flags);
  }
}
