// SPDX-License-Identifier: MIT
import { testChoiceSlice } from '../../../scripts/testing/choice-slice.ts';
import { kmapChoices } from '../src/index.ts';

testChoiceSlice(kmapChoices, import.meta.dirname);
