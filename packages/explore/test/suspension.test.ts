import { Mark } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { explore, type Window } from '../src/index.ts';
import { cell, protocol } from './support.ts';

function suspendedIn(...windows: Window[]) {
  const scenario = protocol({
    code(kernel) {
      const x = cell(kernel, 'x');
      const { machine } = kernel;
      const body = (): void => {
        machine.mark(Mark.update, 1);
        x.add(0, 1);
        machine.mark(Mark.grantUpdate, 1);
        x.add(0, 1);
        x.add(0, 1);
        machine.mark(Mark.grantUpdate, 0);
        machine.mark(Mark.update, 0);
      };
      const check = { id: 'X', text: 'is seen', suspendedIn: windows, boundary: () => null };
      return { tasks: [[body]], invariants: [check] };
    },
  });
  return explore(scenario).suspended;
}

describe('the report of suspensions', () => {
  it('counts the sites inside each window that suspends an invariant', () => {
    expect(suspendedIn('update', 'grantUpdate')).toEqual([
      { invariant: 'X', window: 'update', sites: 3 },
      { invariant: 'X', window: 'grantUpdate', sites: 2 },
    ]);
  });

  it('leaves out windows that were never open, and those that suspend nothing', () => {
    expect(suspendedIn('entry')).toEqual([]);
    expect(suspendedIn()).toEqual([]);
  });
});
