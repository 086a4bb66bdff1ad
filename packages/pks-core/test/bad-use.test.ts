// SPDX-License-Identifier: MIT
// What each revision makes of each misuse of keys: what it says, and what is left of it.

import { type RevisionName, revisionNames } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { pksTest } from '../src/index.ts';
import { consumer, withPks } from './support.ts';

type Booted = ReturnType<typeof withPks>;
type Row = Readonly<Record<RevisionName, string>>;

const mine = ({ keys }: Booted): number => keys.forConsumer('mine', 'test');

const ACTS: Readonly<Record<string, (it: Booted) => void>> = {
  'a double free': (it) => {
    const key = mine(it);
    it.keys.free(key, 'mine');
    it.keys.free(key, 'mine');
  },
  "a free of another's key": (it) => it.keys.free(mine(it), 'thief'),
  'an update of a key that nobody has': (it) => it.pkrs.updateProtection(9, 0),
  'an update of key 0': (it) => it.pkrs.updateProtection(0, 1),
  'an update of key 16': (it) => it.pkrs.updateProtection(16, 1),
  'an update of key -1': (it) => it.pkrs.updateProtection(-1, 1),
  'protection bits that do not exist': (it) => it.pkrs.updateProtection(mine(it), 0b1110),
  'an alloc with preemption off': (it) => {
    it.kernel.preempt.disable();
    mine(it);
    it.kernel.preempt.enable();
  },
};

/** The first line that is said, in whose call, the thread's value and the keys at the end. */
function outcome(revision: RevisionName, act: (it: Booted) => void): string {
  // V7 and V10 have no code without a consumer; the key is the test programme's.
  const it = withPks({ revision, modules: [pksTest, consumer] });
  const { kernel, keys, pkrs } = it;
  const first = kernel.dmesg.length;
  let thrown = '';
  try {
    kernel.call(() => act(it));
  } catch (error) {
    thrown = `${(error as Error).message.split(':')[0]} throws`;
  }
  const log = kernel.dmesg.slice(first).filter((line) => !line.startsWith('---'));
  const said = log[0] ?? thrown;
  const caller = log.find((line) => line.startsWith(' '))?.trim() ?? '-';
  const saved = (pkrs.saved.values[kernel.runner.hostTask] as number).toString(16);
  const owners = keys.isStatic ? '' : kernel.call(() => keys.showAllocated()).replaceAll('\n', ' ');
  return [said === '' ? 'nothing' : said, caller, saved, owners.trim()].join(' | ');
}

const EXPECTED: Readonly<Record<string, Row>> = {
  'a double free': {
    reference:
      'x86/pkeys: free of key 1, which is not allocated | pks_key_free | 55555554 | 0: kernel',
    'rfc-v2': 'nothing | - | 55555554 | 0: kernel',
    'rfc-v3': 'nothing | - | fffffffc | 0: kernel',
    v7: 'pks_key_free throws | - | 55555554 | ',
    v10: 'pks_key_free throws | - | 55555554 | ',
  },
  "a free of another's key": {
    reference:
      'x86/pkeys: free of key 1, which belongs to mine, not to thief | pks_key_free | 55555554 | 0: kernel 1: mine',
    'rfc-v2': 'nothing | - | 55555554 | 0: kernel',
    'rfc-v3': 'nothing | - | fffffffc | 0: kernel',
    v7: 'pks_key_free throws | - | 55555554 | ',
    v10: 'pks_key_free throws | - | 55555554 | ',
  },
  'an update of a key that nobody has': {
    reference:
      'x86/pkeys: update of key 9, which is not allocated | pks_update_protection | 55555554 | 0: kernel',
    'rfc-v2': 'nothing | - | 55515554 | 0: kernel',
    'rfc-v3': 'nothing | - | fff3fffc | 0: kernel',
    v7: 'nothing | - | 55515554 | ',
    v10: 'WARNING: CPU: 0 PID: 1 at pks_update_protection | pks_update_protection | 55555554 | ',
  },
  'an update of key 0': {
    reference:
      'x86/pkeys: update of key 0, which every mapping has | pks_update_protection | 55555554 | 0: kernel',
    'rfc-v2': 'nothing | - | 55555555 | 0: kernel',
    'rfc-v3': 'nothing | - | ffffffff | 0: kernel',
    v7: 'nothing | - | 55555555 | ',
    v10: 'nothing | - | 55555555 | ',
  },
  'an update of key 16': {
    reference:
      'x86/pkeys: update of key 16: keys are 1 to 15 | pks_update_protection | 55555554 | 0: kernel',
    'rfc-v2': 'nothing | - | 55555555 | 0: kernel',
    'rfc-v3': 'nothing | - | ffffffff | 0: kernel',
    v7: 'nothing | - | 55555555 | ',
    v10: 'WARNING: CPU: 0 PID: 1 at pks_update_protection | pks_update_protection | 55555554 | ',
  },
  'an update of key -1': {
    reference:
      'x86/pkeys: update of key -1: keys are 1 to 15 | pks_update_protection | 55555554 | 0: kernel',
    'rfc-v2': 'nothing | - | 55555554 | 0: kernel',
    'rfc-v3': 'nothing | - | fffffffc | 0: kernel',
    v7: 'nothing | - | 55555554 | ',
    v10: 'WARNING: CPU: 0 PID: 1 at pks_update_protection | pks_update_protection | 55555554 | ',
  },
  'protection bits that do not exist': {
    reference:
      'x86/pkeys: update of key 1 with protection 0xe: there is 0x1 and 0x2 | pks_update_protection | 55555554 | 0: kernel 1: mine',
    'rfc-v2': 'nothing | - | 55555558 | 0: kernel 1: mine',
    'rfc-v3': 'nothing | - | fffffff8 | 0: kernel 1: mine',
    v7: 'nothing | - | 55555558 | ',
    v10: 'WARNING: CPU: 0 PID: 1 at pks_update_protection | pks_update_protection | 55555558 | ',
  },
  'an alloc with preemption off': {
    reference:
      'BUG: sleeping function called from invalid context at pks_key_alloc | pks_key_alloc | 55555554 | 0: kernel 1: mine',
    'rfc-v2':
      'BUG: sleeping function called from invalid context at pks_key_alloc | pks_key_alloc | 55555554 | 0: kernel 1: mine',
    'rfc-v3':
      'BUG: sleeping function called from invalid context at pks_key_alloc | pks_key_alloc | fffffffc | 0: kernel 1: mine',
    v7: 'nothing | - | 55555554 | ',
    v10: 'nothing | - | 55555554 | ',
  },
};

describe.each(Object.entries(ACTS))('%s', (name, act) => {
  it.each(revisionNames)('in %s', (revision) => {
    expect(outcome(revision, act)).toBe(EXPECTED[name]?.[revision]);
  });
});
