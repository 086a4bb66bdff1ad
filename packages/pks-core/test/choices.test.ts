// SPDX-License-Identifier: MIT
import { testChoiceSlice } from '../../../scripts/testing/choice-slice.ts';
import { pksChoices } from '../src/index.ts';

testChoiceSlice(pksChoices, import.meta.dirname);
