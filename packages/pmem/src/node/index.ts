// SPDX-License-Identifier: MIT

import { sep } from 'node:path';

/** What separates the parts of a host path. */
export const HOST_SEPARATOR: string = sep;
