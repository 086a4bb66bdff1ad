// SPDX-License-Identifier: MIT
// A recording in the formats of other programs.

import { chromeTrace, mermaidText, type Recording } from '@pkslab/explore';

/** For `--format`. */
export const formatNames: readonly string[] = ['text', 'mermaid', 'chrome'];

/** A recording as Mermaid source or as a Trace Event document. */
export function formatted(recording: Recording, format: string): string {
  if (format === 'mermaid') return mermaidText(recording);
  return `${JSON.stringify(chromeTrace(recording))}\n`;
}
