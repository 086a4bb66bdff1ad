// SPDX-License-Identifier: MIT
// The programs in the documentation run, and print what the page says.

import * as explore from '@pkslab/explore';
import * as kernel from '@pkslab/kernel';
import * as pksCore from '@pkslab/pks-core';
import * as x86 from '@pkslab/x86-cpu';
import { testPage } from '../../../scripts/testing/examples.ts';

const modules = {
  '@pkslab/explore': explore,
  '@pkslab/kernel': kernel,
  '@pkslab/pks-core': pksCore,
  '@pkslab/x86-cpu': x86,
};

testPage(new URL('../../../docs/trusted-keys.md', import.meta.url), modules);
testPage(new URL('../../../docs/check-your-own-protocol.md', import.meta.url), modules);
