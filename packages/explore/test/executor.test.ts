import { FAULTED, Op } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { Executor } from '../src/executor.ts';
import type { Node } from '../src/node.ts';
import { Tries } from '../src/trie.ts';
import { smallKernel } from './support.ts';

const RAM = -0x7780_0000_0000 + 0x60_0000;

/** The machine, and the node of one operation of a kernel. */
function nodeOf(run: (machine: ReturnType<typeof smallKernel>['machine']) => void) {
  const { machine, ...kernel } = smallKernel();
  const tries = new Tries({ ...kernel, machine } as never);
  const node: Node = tries.root(
    tries.routine('one', 'exception', () => {
      run(machine);
      return 0;
    }),
  );
  return { machine, node, executor: new Executor(machine) };
}

describe('Executor', () => {
  it('brings what a copyOut copied, apart from the code’s own buffer', () => {
    const own = new Uint8Array(4);
    const { machine, node, executor } = nodeOf((m) => m.copyOut(RAM, own, 2, 2));
    machine.store16(RAM, 0x0201);
    expect(executor.execute(node, 0)).toBe(0);
    expect(executor.brought).toEqual(Uint8Array.of(1, 2));
    expect(own).toEqual(new Uint8Array(4));
  });

  it('brings nothing where the access is refused', () => {
    const { node, executor } = nodeOf((m) => m.copyOut(-0x1000, new Uint8Array(1), 0, 1));
    expect(executor.execute(node, 0)).toBe(FAULTED);
    expect(executor.brought).toBeNull();
  });

  it('copies in what the code had put into its buffer then', () => {
    const own = Uint8Array.of(7, 8);
    const { machine, node, executor } = nodeOf((m) => m.copyIn(RAM, own, 0, 2));
    own.fill(0);
    executor.execute(node, 0);
    expect(machine.load16(RAM)).toBe(0x0807);
  });

  it('empties TLBs after a change of a paging entry', () => {
    const { machine, node, executor } = nodeOf((m) => m.writeEntry(0x1000, 0, 0));
    machine.load32(RAM);
    executor.execute(node, 0);
    expect(machine.cpus[0]?.tlb.entries()).toEqual([]);
  });

  it('takes the alternative that it is told', () => {
    const taken: number[] = [];
    const { machine, node, executor } = nodeOf((m) => {
      m.choosers.push({ alternatives: () => [5, 6], take: (choice) => taken.push(choice) });
      m.choose(m.choosers.length - 1);
    });
    expect(machine.choosers.length).toBeGreaterThan(0);
    expect([node.kind, executor.execute(node, 6)]).toEqual([Op.choose, 6]);
    expect(taken).toEqual([6]);
  });
});
