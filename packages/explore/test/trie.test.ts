import { Mark } from '@pkslab/kernel';
import { Op } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { END, type Node, PANIC } from '../src/node.ts';
import { Tries } from '../src/trie.ts';
import { cell, smallKernel } from './support.ts';

function triesOf(
  run: (x: ReturnType<typeof cell>, kernel: ReturnType<typeof smallKernel>) => void,
) {
  const kernel = smallKernel();
  const x = cell(kernel, 'x', 8);
  const tries = new Tries(kernel);
  const routine = tries.routine('routine', 'exception', () => {
    run(x, kernel);
    return 7;
  });
  return { kernel, x, tries, root: tries.root(routine) };
}

/** Follows a node over operations whose results are given. */
function follow(tries: Tries, root: Node, ...results: number[]): Node {
  return results.reduce((node, result) => tries.next(node, result, 0), root);
}

describe('Tries', () => {
  it('stop at the first operation whose result is not known, without performing it', () => {
    const { x, root } = triesOf((cells) => cells.add(3, 5));
    expect([root.kind, root.a, root.b, root.c]).toEqual([Op.add, x.id, 3, 5]);
    expect(x.values[3]).toBe(0);
  });

  it('follow each result to its own next operation, and to the end', () => {
    const { tries, root } = triesOf((x) => {
      if (x.get(0) === 1) x.add(1, 1);
      else x.add(2, 2);
    });
    expect(follow(tries, root, 1).b).toBe(1);
    expect(follow(tries, root, 0).b).toBe(2);
    const end = follow(tries, root, 1, 4);
    expect([end.kind, end.returned]).toEqual([END, 7]);
  });

  it('run the code once for each node, whatever is asked again', () => {
    const { tries, root } = triesOf((x) => x.add(0, x.get(0)));
    follow(tries, root, 1, 1);
    const { runs } = tries;
    expect(follow(tries, root, 1, 1)).toBe(follow(tries, root, 1, 1));
    expect(tries.runs).toBe(runs);
  });

  it('tell results apart by their high half too', () => {
    const { tries, root } = triesOf((x, kernel) => {
      const value = kernel.machine.load64(-0x7780_0000_0000);
      x.set(0, Number(value >> 32n));
    });
    expect(tries.next(root, 1, 2).c).toBe(2);
    expect(tries.next(root, 1, 3).c).toBe(3);
  });

  it('learn operations without a result together with the next one, in one run', () => {
    const { tries, root } = triesOf((x) => {
      x.set(0, 1);
      x.set(1, 2);
      x.get(2);
    });
    expect(root.kind).toBe(Op.set);
    expect(tries.runs).toBe(1);
    expect(follow(tries, root, 0, 0).kind).toBe(Op.get);
    expect(tries.runs).toBe(1);
  });

  it('open and close windows and count grants at marks', () => {
    const { tries, root } = triesOf((x, { machine }) => {
      machine.mark(Mark.update, 1);
      machine.mark(Mark.grant, 1);
      machine.mark(Mark.grant, 1);
      x.get(0);
      machine.mark(Mark.update, 0);
      machine.mark(Mark.grant, 0);
      x.get(1);
    });
    const inside = follow(tries, root, 0, 0, 0);
    expect([inside.windows, inside.grants]).toEqual([1 << Mark.update, 2]);
    const after = follow(tries, inside, 0, 0, 0);
    expect([after.windows, after.grants]).toEqual([0, 1]);
  });

  it('end in a panic where the kernel stops the machine', () => {
    const { tries, root } = triesOf((x, { oops }) => {
      if (x.get(0) === 1) oops.panic('no way on');
    });
    let node = follow(tries, root, 1);
    while (node.kind >= 0) node = tries.next(node, 0, 0);
    expect([node.kind, node.panic]).toEqual([PANIC, 'Kernel panic - not syncing: no way on']);
  });

  it('report code that does not repeat itself, with the operation and the routine', () => {
    let runs = 0;
    const { tries, root } = triesOf((x) => {
      x.get(0);
      x.get(runs++);
    });
    const second = follow(tries, root, 0);
    expect(() => follow(tries, second, 0)).toThrow(
      /^not deterministic at operation 1 of routine: recorded get test.x \(0, 0\), now get test.x \(1, 0\); /,
    );
  });

  it('report code that ends before what was recorded', () => {
    let runs = 0;
    const { tries, root } = triesOf((x) => {
      x.get(0);
      if (runs++ < 1) x.get(1);
    });
    const second = follow(tries, root, 0);
    expect(() => follow(tries, second, 0)).toThrow(
      'not deterministic at operation 1 of routine: recorded get test.x (1, 0), now the end with 7',
    );
  });

  it('find, when they verify, code that something outside the machine has changed', () => {
    let outside = 1;
    const { tries, root } = triesOf((x) => {
      x.get(0);
      x.get(outside);
    });
    follow(tries, root, 0, 0);
    expect(() => tries.verify()).not.toThrow();
    outside = 2;
    expect(() => tries.verify()).toThrow('not deterministic at operation 1 of routine');
  });

  it('find, when they verify, what one routine leaves behind for another, in whatever order they were learnt', () => {
    const kernel = smallKernel();
    const x = cell(kernel, 'x', 8);
    const orders = ['01c', '0c1', 'c01', '1c0', '10c', 'c10'];
    for (const order of orders) {
      const tries = new Tries(kernel);
      let kept = 0;
      const keeper = tries.routine('keeper', 'task', () => {
        kept = x.get(0);
        return 0;
      });
      const user = tries.routine('user', 'task', () => {
        if (kept === 1) x.set(1, 1);
        return 0;
      });
      for (const step of order) {
        if (step === 'c') tries.root(user);
        else follow(tries, tries.root(keeper), Number(step));
      }
      expect(() => tries.verify(), order).toThrow(
        /^not deterministic at operation 0 of user: recorded (the end, now set test.x|set test.x .*, now the end)/,
      );
    }
  });

  it('find, when they verify, an end that returns something else', () => {
    const kernel = smallKernel();
    let result = 1;
    const tries = new Tries(kernel);
    tries.root(tries.routine('handler', 'exception', () => result));
    result = 2;
    expect(() => tries.verify()).toThrow('not deterministic at operation 0 of handler');
  });

  it('leave an error of the code itself alone, and the machine as it was', () => {
    const kernel = smallKernel();
    const tries = new Tries(kernel);
    const broken = tries.routine('broken', 'exception', () => {
      throw new TypeError('not a kernel matter');
    });
    expect(() => tries.root(broken)).toThrow('not a kernel matter');
    expect(kernel.machine.hook).toBeNull();
    expect(kernel.printk.muted).toBe(false);
  });

  it('print nothing while they learn', () => {
    const { kernel, tries, root } = triesOf((x, { oops }) => {
      x.get(0);
      oops.warn('seen');
    });
    let node = root;
    while (node.kind >= 0) node = tries.next(node, 0, 0);
    expect(kernel.dmesg.join()).not.toContain('seen');
  });

  it('name the functions on the stack of an operation, innermost first', () => {
    const { tries, root } = triesOf(function outer(x) {
      inner(x);
    });
    const names = tries.stackAt(root);
    expect(names.join()).toMatch(/inner.*outer/);
  });

  it('keep the code of a task with the path that created it', () => {
    const { tries, root } = triesOf((x, kernel) => {
      kernel.tasks.create({ name: x.get(0) === 1 ? 'one' : 'other', calls: [] });
      x.get(7);
    });
    const createdAfter = (first: number): string | undefined => {
      let node = follow(tries, root, first);
      // Slot 2 is the first that is free; taking it succeeds.
      while (node.kind !== Op.compareExchange) node = tries.next(node, node.b === 2 ? 0 : 1, 0);
      return tries.next(node, 0, 0).created?.code.name;
    };
    expect(createdAfter(1)).toBe('one');
    expect(createdAfter(0)).toBe('other');
    expect(createdAfter(1)).toBe('one');
  });
});

describe('host buffers', () => {
  it('of a copyOut are filled again when the code is run again', () => {
    const { tries, root } = triesOf((x, { machine }) => {
      const bytes = new Uint8Array(2);
      machine.copyOut(-0x7780_0000_0000, bytes, 0, 2);
      x.set(0, bytes[1] as number);
      x.get(0);
    });
    const seven = tries.next(root, 0, 0, Uint8Array.of(1, 7));
    const nine = tries.next(root, 0, 0, Uint8Array.of(1, 9));
    expect([seven.c, nine.c]).toEqual([7, 9]);
    expect(tries.next(root, 0, 0, Uint8Array.of(1, 7))).toBe(seven);
  });

  it('of a copyIn are taken as they were on that path', () => {
    const { root } = triesOf((_x, { machine }) => {
      const bytes = Uint8Array.of(1, 2, 3);
      machine.copyIn(-0x7780_0000_0000, bytes, 1, 2);
      bytes.fill(0);
    });
    expect(root.bytes).toEqual(Uint8Array.of(2, 3));
  });
});

function inner(x: ReturnType<typeof cell>): void {
  x.get(0);
}
