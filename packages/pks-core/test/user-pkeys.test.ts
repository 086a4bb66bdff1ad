// SPDX-License-Identifier: MIT
import { EINVAL } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { PKEY_DISABLE_WRITE } from '../src/index.ts';
import { reported, withPks } from './support.ts';

describe('arch_set_user_pkey_access', () => {
  it('changes the pair of one key in PKRU, by the helper that PKRS has too', () => {
    const { kernel, user } = withPks();
    kernel.call(() => user.setup());
    expect(kernel.call(() => user.readPkru())).toBe(0x5555_5554);
    expect(kernel.call(() => user.setUserPkeyAccess(2, PKEY_DISABLE_WRITE))).toBe(0);
    expect(kernel.call(() => user.readPkru())).toBe(0x5555_5564);
  });

  it('is -EINVAL before setup_pku, and on a CPU without PKU', () => {
    const { kernel, user } = withPks();
    expect(kernel.call(() => user.setUserPkeyAccess(1, 0))).toBe(-EINVAL);
    expect(kernel.call(() => user.readPkru())).toBe(0);
    const without = withPks({ features: { pku: false } });
    without.kernel.call(() => without.user.setup());
    expect(without.kernel.call(() => without.user.setUserPkeyAccess(1, 0))).toBe(-EINVAL);
  });

  it('is -EINVAL with a WARN for key 16', () => {
    const { kernel, user } = withPks();
    kernel.call(() => user.setup());
    expect(kernel.call(() => user.setUserPkeyAccess(16, 0))).toBe(-EINVAL);
    expect(reported(kernel)[1]).toBe('arch_set_user_pkey_access: pkey 16 >= arch_max_pkey()');
  });
});
