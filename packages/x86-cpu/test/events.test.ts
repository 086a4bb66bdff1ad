// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import {
  CR4_MCE,
  CR4_PKS,
  EndlessRetry,
  FIXED_UP,
  IA32_PKRS,
  Interrupts,
  Machine,
  Op,
  Outcome,
  RETRIES_MAX,
  raiseEvent,
  TripleFault,
} from '../src/index.ts';
import { attempt, BASE, recordingHandlers, withTables } from './support.ts';

/** A machine whose events are delivered at operation boundaries, and what arrived. */
function withEvents(cpus = 1): { machine: Machine; log: string[] } {
  const machine = new Machine({ cpus });
  const log: string[] = [];
  machine.handlers = recordingHandlers(machine, log);
  machine.hook = new Interrupts(machine);
  return { machine, log };
}

describe('interrupts', () => {
  it('wait for IF, and are taken with the highest vector first', () => {
    const { machine, log } = withEvents();
    machine.sendIpi(0, 0x40);
    machine.sendIpi(0, 0xf0);
    machine.readCr(0);
    expect(log).toEqual([]);
    machine.sti();
    machine.readCr(0);
    machine.readCr(0);
    expect(log).toEqual(['interrupt 240', 'interrupt 64']);
    expect(machine.registers.interruptFlag.values[0]).toBe(1);
  });

  it('run with IF clear, so they nest only where a handler sets it', () => {
    const { machine, log } = withEvents();
    const handlers = recordingHandlers(machine, log);
    machine.handlers = {
      ...handlers,
      interrupt: (vector, saved) => {
        log.push(`begin ${vector}`);
        if (vector === 0x41) machine.sti();
        machine.readCr(0);
        log.push(`end ${vector}`);
        machine.iret(saved, 0);
      },
    };
    machine.sti();
    raiseEvent(machine, 0, 0x41);
    raiseEvent(machine, 0, 0x40);
    machine.readCr(0);
    machine.readCr(0);
    expect(log).toEqual(['begin 65', 'begin 64', 'end 64', 'end 65']);
  });

  it('come from user mode with CPL, AC and IF saved, and give them back', () => {
    const { machine } = withEvents();
    const seen: number[] = [];
    const handlers = recordingHandlers(machine, []);
    machine.handlers = {
      ...handlers,
      interrupt: (_vector, saved) => {
        seen.push(machine.registers.cpl.values[0] as number);
        machine.clac();
        machine.iret(saved, 0);
      },
    };
    machine.stac();
    machine.registers.interruptFlag.poke(0, 1);
    machine.registers.cpl.poke(0, 3);
    machine.deliverInterrupt(0x40);
    expect(seen).toEqual([0]);
    expect(machine.registers.cpl.values[0]).toBe(3);
    expect(machine.registers.ac.values[0]).toBe(1);
    expect(machine.registers.interruptFlag.values[0]).toBe(1);
  });
});

describe('NMIs', () => {
  it('ignore IF, are blocked until IRET, and one more is kept meanwhile', () => {
    const { machine, log } = withEvents();
    const handlers = recordingHandlers(machine, log);
    machine.handlers = {
      ...handlers,
      nmi: (saved) => {
        log.push('nmi begins');
        if (log.length === 1) machine.sendIpi(0, 2);
        machine.readCr(0);
        machine.readCr(0);
        log.push('nmi ends');
        machine.iret(saved, 1);
      },
    };
    machine.sendIpi(0, 2);
    machine.readCr(0);
    machine.readCr(0);
    expect(log).toEqual(['nmi begins', 'nmi ends', 'nmi begins', 'nmi ends']);
  });

  it.each([
    ['any', 0],
    ['marked', 1],
  ] as const)('are unblocked by %s IRET', (iretUnblocksNmi, blocked) => {
    const machine = new Machine({ behaviours: { iretUnblocksNmi } });
    machine.handlers = {
      ...recordingHandlers(machine, []),
      nmi: (saved) => {
        machine.tryLoad32(BASE);
        expect(machine.registers.nmiBlocked.values[0]).toBe(blocked);
        machine.iret(saved, 1);
      },
    };
    machine.writeCr(3, 0x1000);
    machine.deliverNmi();
    expect(machine.registers.nmiBlocked.values[0]).toBe(0);
  });
});

describe('machine checks', () => {
  it('come before all else, and shut the machine down with CR4.MCE=0', () => {
    const { machine, log } = withEvents();
    machine.sendIpi(0, 18);
    machine.sendIpi(0, 2);
    machine.readCr(0);
    machine.readCr(0);
    expect(log).toEqual(['machine check', 'nmi']);
    machine.writeCr(4, machine.readCr(4) & ~CR4_MCE);
    expect(() => machine.deliverMachineCheck()).toThrow(/CR4.MCE=0: shutdown/);
  });
});

describe('exceptions', () => {
  it('nest on the interrupted stack: a fault in a handler is taken there', () => {
    const { machine, log } = withEvents();
    machine.handlers = {
      ...recordingHandlers(machine, log),
      interrupt: (vector, saved) => {
        log.push(`interrupt ${vector}`);
        machine.tryLoad32(BASE);
        machine.iret(saved, 0);
      },
    };
    machine.writeCr(3, 0x1000);
    machine.sti();
    machine.deliverInterrupt(0x40);
    expect(log).toEqual(['interrupt 64', `#PF 0x0 at ${BASE}`]);
    expect(machine.registers.interruptFlag.values[0]).toBe(1);
  });

  it('of the stack segment and of unknown instructions reach handlers of their own', () => {
    const { machine, log } = withEvents();
    expect(machine.operate(Op.load32 | 0x280, 2 ** 60 / 1024, 0, 0, 0)).toBe(FIXED_UP);
    expect(machine.operate(Op.rdpkru | 0x80, 0, 0, 0, 0)).toBe(FIXED_UP);
    expect(log).toEqual(['#SS 0', '#UD']);
  });

  it('shut the machine down where nobody handles them', () => {
    expect(() => new Machine().rdmsr(1)).toThrow(TripleFault);
    const machine = new Machine();
    machine.handlers = {
      interrupt: () => {},
      nmi: () => {},
      machineCheck: () => {},
      pageFault: () => Outcome.retry,
      generalProtection: () => Outcome.fixup,
    };
    expect(() => machine.rdpkru()).toThrow(/no #UD handler/);
  });

  it('end where a handler says "settled" for ever and changes nothing', () => {
    const machine = new Machine();
    let faults = 0;
    machine.handlers = {
      ...recordingHandlers(machine, []),
      generalProtection: (_errorCode, saved) => {
        faults++;
        machine.iret(saved, 0);
        return Outcome.retry;
      },
    };
    expect(() => machine.rdmsr(1)).toThrow(EndlessRetry);
    expect(faults).toBe(RETRIES_MAX);
  });
});

const IDT = BASE;
const TSS = BASE + 0x2000;
const GDT = BASE + 0x3000;
const STACK_TOP = BASE + 0x5000;
const IST_TOP = BASE + 0x7000;
const KEYS = { idt: 1, tss: 2, gdt: 3, stack: 4, ist: 5 } as const;

/** Descriptor tables and stacks, each on pages with a key of its own; #DF on IST 1. */
function withDescriptors(): { machine: Machine; log: string[] } {
  const { machine, tables } = withTables();
  const frame = 0x20_0000;
  const place = (at: number, key: number): void => {
    tables.map(at, frame + (at - BASE), { key });
  };
  place(IDT, KEYS.idt);
  place(TSS, KEYS.tss);
  place(GDT, KEYS.gdt);
  place(STACK_TOP - 0x1000, KEYS.stack);
  place(IST_TOP - 0x1000, KEYS.ist);
  for (const vector of [2, 8, 13, 14, 0x40]) {
    machine.store32(IDT + vector * 16, 0x10 << 16);
    machine.store32(IDT + vector * 16 + 4, 0x8e00 | (vector === 8 ? 1 : 0));
  }
  machine.store32(GDT + 0x10 + 4, 0x0020_9b00);
  machine.store64(TSS + 4, BigInt.asUintN(64, BigInt(STACK_TOP)));
  machine.store64(TSS + 0x24, BigInt.asUintN(64, BigInt(IST_TOP)));
  for (const [kind, value] of [
    [Op.lidt, IDT],
    [Op.lgdt, GDT],
    [Op.ltr, TSS],
    [Op.setStack, STACK_TOP - 0x100],
  ] as const) {
    machine.operate(kind, value, 0, 0, 0);
  }
  machine.writeCr(4, machine.readCr(4) | CR4_PKS);
  const log: string[] = [];
  machine.handlers = {
    ...recordingHandlers(machine, log),
    doubleFault: () => {
      log.push('#DF');
      throw new Error('the kernel dies');
    },
  };
  return { machine, log };
}

/** Closes the keys of some structures. */
function close(machine: Machine, ...names: (keyof typeof KEYS)[]): void {
  machine.wrmsr(
    IA32_PKRS,
    names.reduce((value, name) => value | (1 << (KEYS[name] * 2)), 0),
  );
}

describe('delivery through descriptor tables', () => {
  it('pushes a frame, and IRET pops it', () => {
    const { machine, log } = withDescriptors();
    machine.sti();
    machine.deliverInterrupt(0x40);
    expect(log).toEqual(['interrupt 64']);
    expect(machine.registers.rsp.values[0]).toBe(STACK_TOP - 0x100);
    const frame = STACK_TOP - 0x100;
    expect(machine.load64(frame - 16)).toBe(BigInt.asUintN(64, BigInt(frame)));
    expect(machine.load32(frame - 24)).toBe((1 << 9) | 2);
  });

  it('from user mode switches to the stack of the task-state segment', () => {
    const { machine, log } = withDescriptors();
    machine.operate(Op.setStack, 0x7000, 0, 0, 0);
    machine.registers.cpl.poke(0, 3);
    machine.deliverInterrupt(0x40);
    expect(log).toEqual(['interrupt 64']);
    expect(machine.registers.rsp.values[0]).toBe(0x7000);
    expect(machine.registers.cpl.values[0]).toBe(3);
    machine.registers.cpl.poke(0, 0);
    expect(machine.load64(STACK_TOP - 16)).toBe(0x7000n);
  });

  it('faults by a closed key of the stack: double fault on its own stack', () => {
    const { machine, log } = withDescriptors();
    close(machine, 'stack');
    expect(() => machine.deliverInterrupt(0x40)).toThrow('the kernel dies');
    expect(log).toEqual(['#DF']);
    expect(machine.registers.cr2.values[0]).toBe(STACK_TOP - 0x108);
  });

  it.each([
    [['idt'], /double fault was delivered: shutdown/],
    [['stack', 'ist'], /double fault was delivered: shutdown/],
    [['gdt'], /double fault was delivered: shutdown/],
    [['stack', 'tss'], /double fault was delivered: shutdown/],
  ] as const)('with %s closed shuts the machine down', (names, message) => {
    const { machine } = withDescriptors();
    close(machine, ...names);
    expect(() => machine.deliverInterrupt(0x40)).toThrow(message);
  });

  it('of a fault whose own page fault can be taken goes on serially after an interrupt', () => {
    const { machine, log } = withDescriptors();
    machine.registers.cpl.poke(0, 3);
    // The page fault's gate takes IST 1, so that it does not need the stack that is closed.
    machine.registers.cpl.poke(0, 0);
    machine.store32(IDT + 14 * 16 + 4, 0x8e01);
    close(machine, 'stack');
    machine.deliverInterrupt(0x40);
    expect(log).toEqual([`#PF 0x23 at ${STACK_TOP - 0x108}`]);
  });

  it('refuses a gate that is not present', () => {
    const { machine, log } = withDescriptors();
    machine.deliverInterrupt(0x41);
    expect(log).toEqual([`#GP ${0x41 * 8 + 2}`]);
  });
});

describe('TLB shootdown', () => {
  it('leaves the other CPU with its stale translation until the IPI arrives', () => {
    const { machine, tables } = withTables({ cpus: 2 });
    const log: string[] = [];
    tables.map(BASE, 0x20_0000);
    const [first, second] = machine.cpus;
    if (first === undefined || second === undefined) throw new Error('two CPUs');
    machine.cpu = second;
    machine.writeCr(3, tables.root);
    machine.load32(BASE);
    machine.sti();
    machine.handlers = {
      ...recordingHandlers(machine, log),
      interrupt: (_vector, saved) => {
        machine.invlpg(BASE);
        machine.iret(saved, 0);
      },
    };
    machine.hook = new Interrupts(machine, { ipiDelay: 3 });
    machine.cpu = first;
    machine.writeEntry(tables.entryAddress(BASE / 4096, 1), 0, 0);
    machine.invlpg(BASE);
    machine.sendIpi(1, 0xfb);
    machine.cpu = second;
    const seen = [0, 1, 2, 3].map(() => {
      const refused = machine.tryLoad32(BASE) === FIXED_UP;
      return refused;
    });
    expect(seen).toEqual([false, false, false, true]);
    machine.hook = null;
    expect(attempt(machine, Op.load32, BASE)?.code).toBe(0);
  });
});
