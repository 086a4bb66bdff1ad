// SPDX-License-Identifier: MIT
import { testReadmeProgram } from '../../../scripts/testing/readme-program.ts';

testReadmeProgram(new URL('..', import.meta.url));
