// SPDX-License-Identifier: MIT
import { type Machine, Op } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { explore } from '../src/index.ts';
import { protocol } from './support.ts';

const PROTECTED = -0x3600_0000_0000;
const CR4_PKS = 1 << 24;
const PKRS = 0x6e1;

/** The steps of a task that ends in a refused access, as traces print them. */
function stepsOf(body: (machine: Machine) => void): readonly string[] {
  const scenario = protocol({
    code(kernel) {
      const { machine, mm } = kernel;
      machine.writeCr(4, machine.readCr(4) | CR4_PKS);
      machine.wrmsr(PKRS, 0x5555_5554);
      mm.map(PROTECTED, 0x40_0000, 4096, { key: 1, writable: true });
      const check = { id: 'never', text: 'no access is refused', fault: () => 'one is' };
      return { tasks: [[() => body(machine)]], invariants: [check] };
    },
  });
  return explore(scenario, { candidates: [] }).recording?.steps.map(({ text }) => text) ?? [];
}

describe('a refused access in a trace', () => {
  it.each<[string, (machine: Machine) => void]>([
    ['store64 ffffca0000000000: #PF 0x23', (machine) => machine.store64(PROTECTED, 1n)],
    ['clwb ffffca0000000000: #PF 0x21', (machine) => machine.clwb(PROTECTED, 64)],
    ['clflushopt ffffca0000000000: #PF 0x21', (machine) => machine.clflushopt(PROTECTED, 64)],
    ['clflush ffffca0000000000: #PF 0x21', (machine) => machine.clflush(PROTECTED, 64)],
    ['movnti32 ffffca0000000000: #PF 0x23', (machine) => machine.movnti32(PROTECTED, 1)],
    ['movnti64 ffffca0000000000: #PF 0x23', (machine) => machine.movnti64(PROTECTED, 1n)],
    ['xadd32 ffffca0000000000: #PF 0x23', (machine) => machine.xadd32(PROTECTED, 1)],
    ['load32 0000800000000000: #GP 0x0', (machine) => machine.load32(0x8000_0000_0000)],
    ['wrmsr: #GP 0x0', (machine) => machine.operate(Op.wrmsr, PKRS, 0, 0, 1)],
  ])('says where, and by which exception: %s', (text, body) => {
    expect(stepsOf(body)).toEqual([text]);
  });
});
