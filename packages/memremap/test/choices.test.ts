// SPDX-License-Identifier: MIT
import { testChoiceSlice } from '../../../scripts/testing/choice-slice.ts';
import { memremapChoices } from '../src/index.ts';

testChoiceSlice(memremapChoices, import.meta.dirname);
