// SPDX-License-Identifier: MIT
// pkslab walk: every level of a page walk, and why an access would fault.

import { boot, PAGE_OFFSET } from '@pkslab/kernel';
import { pksCore } from '@pkslab/pks-core';
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
import { type Arguments, type Command, runCommand, UsageError } from '../options.ts';

const hex = (help: string) => ({ type: 'string', value: 'HEX', help }) as const;

const spec = {
  name: 'walk',
  summary: 'Shows every level of a page walk, and what each kind of access would come to.',
  options: {
    entries: {
      type: 'list',
      value: 'E,E,…',
      help: 'Walk these entries, top level first, as an oops prints them, instead of booting',
    },
    pkrs: hex('IA32_PKRS'),
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
      default: 46,
      help: 'For --entries',
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
    'pkslab walk 0xffff888000000000 --entries 1003063,1004063,a8000000000001e3 --pkrs 0x800',
  ],
} as const;

/** `pkslab walk [ADDRESS]` */
export const walk: Command = (args, io) =>
  runCommand(spec, args, io, (parsed) => {
    const explained = parsed.options.entries.length > 0 ? ofEntries(parsed) : ofBoot(parsed);
    io.stdout(
      parsed.options.json ? `${JSON.stringify(explained, null, 2)}\n` : formatWalk(explained),
    );
    return 0;
  });

type Parsed = Arguments<typeof spec>;

function ofEntries({ options, positionals }: Parsed): ExplainedWalk {
  const entries = options.entries.map((text) => ({ value: hexValue('--entries', text), at: null }));
  const registers: RightsRegisters = {
    cr0: (CR0_PG | CR0_PE | CR0_WP) >>> 0,
    cr4: CR4_PAE | CR4_PKE | CR4_PKS,
    efer: EFER_LME | EFER_LMA | EFER_NXE,
    pkrs: 0,
    pkru: 0,
    ...given(options),
    ac: options.ac,
  };
  const reservedHigh = reservedHighBits(options.maxphyaddr, (registers.efer & EFER_NXE) !== 0);
  const levels = (registers.cr4 & CR4_LA57) !== 0 ? 5 : 4;
  const format = { levels, reservedHigh, gigabytePages: true } as const;
  if (entries.length > levels) throw new UsageError(`--entries: ${levels} at most`);
  return explainEntries({ address: addressOf(positionals), entries, format, registers });
}

function ofBoot({ options, positionals }: Parsed): ExplainedWalk {
  const { machine } = boot({ modules: [pksCore] });
  const { registers } = machine;
  for (const [name, value] of Object.entries(given(options))) {
    registers[name as keyof typeof registers].poke(0, value);
  }
  if (options.ac) registers.ac.poke(0, 1);
  return explainWalk(machine, addressOf(positionals));
}

/** The registers that were given. */
function given(
  options: Parsed['options'],
): Partial<Record<'pkrs' | 'pkru' | 'cr0' | 'cr4' | 'efer', number>> {
  const found: Partial<Record<'pkrs' | 'pkru' | 'cr0' | 'cr4' | 'efer', number>> = {};
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

function hexValue(name: string, text: string): bigint {
  const digits = text.replace(/^0x/i, '').replaceAll('_', '');
  if (!/^[0-9a-f]{1,16}$/i.test(digits)) {
    throw new UsageError(`${name} ${text}: expected up to 16 hex digits`);
  }
  return BigInt(`0x${digits}`);
}
