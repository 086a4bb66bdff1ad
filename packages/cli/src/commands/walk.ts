// SPDX-License-Identifier: MIT
// pkslab walk: every level of a page walk, and why an access would fault.

import { PAGE_OFFSET } from '@pkslab/kernel';
import { memoryMedia } from '@pkslab/pmem';
import { bootStack } from '@pkslab/selftests';
import {
  CR0_PE,
  CR0_PG,
  CR0_WP,
  CR4_LA57,
  CR4_PAE,
  CR4_PKE,
  CR4_PKS,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
  type ExplainedWalk,
  explainEntries,
  explainWalk,
  formatWalk,
  type RightsRegisters,
  reservedHighBits,
} from '@pkslab/x86-cpu';
import { hexValue } from '../hex.ts';
import { type Arguments, type Command, runCommand, UsageError } from '../options.ts';

/** What Linux loads at first: key 0 open, all others closed. */
const INITIAL_PKRS = 0x5555_5554;
const MAXPHYADDR = 46;
/** The device of the booted stack: pmem0, at 4 GiB. */
const DEVICE_SIZE = 16 * 2 ** 20;

const hex = (help: string) => ({ type: 'string', value: 'HEX', help }) as const;

const spec = {
  name: 'walk',
  summary: `Shows every level of a page walk, and what each kind of access would come to. The booted stack has a
protected device, pmem0, at 0xffff888100000000.`,
  options: {
    entries: {
      type: 'list',
      value: 'E,E,…',
      help: 'Walk these entries, top level first, as an oops prints them, instead of booting',
    },
    pkrs: hex(`IA32_PKRS; with --entries 0x${INITIAL_PKRS.toString(16)} if not given`),
    pkru: hex('PKRU'),
    cr0: hex('CR0'),
    cr4: hex('CR4'),
    efer: hex('IA32_EFER'),
    ac: { type: 'boolean', help: 'RFLAGS.AC=1' },
    maxphyaddr: {
      type: 'integer',
      value: 'N',
      min: 36,
      max: 52,
      help: `For --entries, where it is ${MAXPHYADDR} if not given`,
    },
    json: { type: 'boolean', help: 'Print one JSON document on stdout' },
  },
  positionals: [
    {
      name: 'ADDRESS',
      help: 'Virtual address; default the start of the direct map',
      count: 'optional',
    },
  ],
  examples: [
    'pkslab walk 0xffff888000200000',
    'pkslab walk 0xffff888000200000 --pkrs 0x55555555',
    'pkslab walk 0xffff888100000000',
    'pkslab walk 0xffff888000000000 --entries 1003063,1004063,a8000000000001e3 --pkrs 0x800',
  ],
} as const;

/** `pkslab walk [ADDRESS]` */
export const walk: Command = (args, io) =>
  runCommand(spec, args, io, (parsed) => {
    checkPaging(given(parsed.options));
    const { explained, registers } =
      parsed.options.entries.length > 0 ? ofEntries(parsed) : ofBoot(parsed);
    const shown = shownRegisters(registers);
    if (parsed.options.json) {
      io.stdout(`${JSON.stringify({ ...explained, registers: shown }, null, 2)}\n`);
    } else {
      const texts = Object.entries(shown).map(([name, value]) => `${name.toUpperCase()} ${value}`);
      io.stdout(`${formatWalk(explained)}under     ${texts.join(', ')}\n`);
    }
    return 0;
  });

type Parsed = Arguments<typeof spec>;
type RegisterName = 'pkrs' | 'pkru' | 'cr0' | 'cr4' | 'efer';

interface Answer {
  readonly explained: ExplainedWalk;
  readonly registers: RightsRegisters;
}

const REQUIRED = [
  ['cr0', CR0_PE, 'CR0.PE=0: no protected mode'],
  ['cr0', CR0_PG, 'CR0.PG=0: paging is off'],
  ['cr4', CR4_PAE, 'CR4.PAE=0: no 64-bit entries'],
  ['efer', EFER_LMA, 'IA32_EFER.LMA=0: not in long mode'],
] as const;

/** Without these bits there is no walk of four or five levels to show. */
function checkPaging(registers: Partial<Record<RegisterName, number>>): void {
  for (const name of ['cr0', 'cr4', 'efer'] as const) {
    const value = registers[name];
    if (value === undefined) continue;
    const missing = REQUIRED.filter(([which, bit]) => which === name && (value & bit) === 0);
    if (missing.length === 0) continue;
    const problems = missing.map(([, , problem]) => problem).join(', and ');
    const bits = missing.reduce((all, [, bit]) => all | bit, 0) >>> 0;
    throw new UsageError(
      `--${name} 0x${value.toString(16)}: ${problems}; so there is no 4-level walk: set 0x${bits.toString(16)}`,
    );
  }
}

function shownRegisters({ ac, ...values }: RightsRegisters): Record<RegisterName | 'ac', string> {
  const text = (name: RegisterName): string => `0x${(values[name] >>> 0).toString(16)}`;
  return {
    cr0: text('cr0'),
    cr4: text('cr4'),
    efer: text('efer'),
    pkrs: text('pkrs'),
    pkru: text('pkru'),
    ac: ac ? '1' : '0',
  };
}

function ofEntries({ options, positionals }: Parsed): Answer {
  const entries = options.entries.map((text) => ({ value: hexValue('--entries', text), at: null }));
  const registers: RightsRegisters = {
    cr0: (CR0_PG | CR0_PE | CR0_WP) >>> 0,
    cr4: CR4_PAE | CR4_PKE | CR4_PKS,
    efer: EFER_LME | EFER_LMA | EFER_NXE,
    pkrs: INITIAL_PKRS,
    pkru: 0,
    ...given(options),
    ac: options.ac,
  };
  const reservedHigh = reservedHighBits(
    options.maxphyaddr ?? MAXPHYADDR,
    (registers.efer & EFER_NXE) !== 0,
  );
  const levels = (registers.cr4 & CR4_LA57) !== 0 ? 5 : 4;
  const format = { levels, reservedHigh, gigabytePages: true } as const;
  if (entries.length > levels) throw new UsageError(`--entries: ${levels} at most`);
  const address = addressOf(positionals);
  const explained = explainEntries({ address, entries, format, registers });
  checkComplete(explained, levels);
  return { explained, registers };
}

const NAMES = ['PTE', 'PDE', 'PDPTE', 'PML4E', 'PML5E'];

/** Entries that end at a table say nothing about an access: the walk would go on. */
function checkComplete({ canonical, entries }: ExplainedWalk, levels: number): void {
  const last = entries.at(-1);
  if (!canonical || last === undefined || entries.length === levels) return;
  const ends = entries.some(({ bits, leaf, reserved }) => !bits.includes('P') || leaf || reserved);
  if (ends) return;
  const missing = NAMES[last.level - 2] ?? 'next entry';
  throw new UsageError(
    `--entries: the walk is incomplete: ${last.name} ${last.value} points to a table, and the ${missing} is missing`,
  );
}

function ofBoot({ options, positionals }: Parsed): Answer {
  if (options.maxphyaddr !== undefined) {
    throw new UsageError('--maxphyaddr goes with --entries: the booted machine has its own');
  }
  const { kernel } = bootStack({ pmem: [{ media: memoryMedia(DEVICE_SIZE) }] });
  const { machine } = kernel;
  const { registers } = machine;
  for (const [name, value] of Object.entries(given(options))) {
    registers[name as keyof typeof registers].poke(0, value);
  }
  if (options.ac) registers.ac.poke(0, 1);
  const explained = explainWalk(machine, addressOf(positionals));
  return { explained, registers: machine.cpu.rights };
}

/** The registers that were given. */
function given(options: Parsed['options']): Partial<Record<RegisterName, number>> {
  const found: Partial<Record<RegisterName, number>> = {};
  for (const name of ['pkrs', 'pkru', 'cr0', 'cr4', 'efer'] as const) {
    const text = options[name];
    if (text === undefined) continue;
    const value = hexValue(`--${name}`, text);
    if (value > 0xffff_ffffn) throw new UsageError(`--${name} ${text}: 32 bits at most`);
    found[name] = Number(value);
  }
  return found;
}

function addressOf([text]: readonly string[]): bigint {
  return text === undefined ? BigInt.asUintN(64, BigInt(PAGE_OFFSET)) : hexValue('ADDRESS', text);
}
