// SPDX-License-Identifier: MIT
import { Op, type OperationHook } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { type Rig, rig } from './support.ts';

/** What happens to the SRCU readers and the device count in one call, in order. */
function order(it: Rig, work: () => void): string[] {
  const { machine } = it.kernel;
  const seen: string[] = [];
  it.kernel.call(() => {
    const hook: OperationHook = {
      operate: (kind, a, b, c, d) => {
        const name = machine.columns[a]?.field.name;
        if (kind === Op.add && name === 'dax_srcu.readers') seen.push(`srcu ${c}`);
        if (kind === Op.set && name === 'dev_page_access_ref') seen.push(`ref ${c}`);
        return machine.execute(kind, a, b, c, d);
      },
    };
    machine.hook = hook;
    work();
    machine.hook = null;
  });
  return seen;
}

describe('dax_read_lock', () => {
  it('opens access and then enters the SRCU section, in every revision', () => {
    for (const revision of ['reference', 'rfc-v2'] as const) {
      const it = rig({ revision });
      expect(order(it, () => it.core.readLock())).toEqual(['ref 1', 'srcu 1']);
    }
  });

  it('nests', () => {
    const it = rig();
    const { machine } = it.kernel;
    it.kernel.call(() => {
      const outer = it.core.readLock();
      const inner = it.core.readLock();
      it.core.readUnlock(inner);
      expect(machine.tryStore32(it.pagemap.address, 1)).toBe(false);
      expect(it.core.readLockHeld).toBe(true);
      it.core.readUnlock(outer);
      expect(it.core.readLockHeld).toBe(false);
      expect(machine.tryStore32(it.pagemap.address, 1)).toBe(true);
    });
  });

  it('opens nothing for another task', () => {
    const it = rig();
    const refused: boolean[] = [];
    it.kernel.spawn('other', () => {
      refused.push(it.kernel.machine.tryStore32(it.pagemap.address, 1));
    });
    it.kernel.call(() => {
      const id = it.core.readLock();
      it.kernel.sched.schedule();
      it.core.readUnlock(id);
    });
    expect(refused).toEqual([true]);
  });

  it('would leave legal users refused if it granted nothing (dax-lock-grants-nothing)', () => {
    const it = rig({ sabotages: ['dax-lock-grants-nothing'] });
    it.kernel.call(() => {
      const id = it.core.readLock();
      expect(it.kernel.machine.tryStore32(it.pagemap.address, 1)).toBe(true);
      it.core.readUnlock(id);
    });
  });
});

describe('dax_read_unlock (D-16)', () => {
  const unlock = (it: Rig) => {
    const id = it.kernel.call(() => it.core.readLock());
    return order(it, () => it.core.readUnlock(id));
  };

  it('closes access inside the SRCU section in RFC V2, as posted', () => {
    expect(unlock(rig({ revision: 'rfc-v2' }))).toEqual(['ref 0', 'srcu -1']);
  });

  it('is the reverse of the lock in the reference and where D-16 is repaired', () => {
    expect(unlock(rig())).toEqual(['srcu -1', 'ref 0']);
    expect(unlock(rig({ revision: 'rfc-v2', repairs: ['D-16'] }))).toEqual(['srcu -1', 'ref 0']);
  });
});
