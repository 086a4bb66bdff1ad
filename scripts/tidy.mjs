// SPDX-License-Identifier: MIT
// How long files and functions may be.

import { readFileSync } from 'node:fs';
import ts from 'typescript';
import { lineOf } from './source-files.mjs';

export const FILE_LINES_MAX = 500;
export const FUNCTION_LINES_MAX = 70;
export const FUNCTION_LINES_GOOD = 50;

/**
 * @param {string[]} files
 * @returns {{ file: string, line: number, severity: 'error' | 'warning', what: string }[]}
 */
export function checkTidy(files) {
  return files.flatMap((file) => {
    const text = readFileSync(file, 'utf8');
    const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true);
    return [...longFile(file, text), ...longFunctions(file, source)];
  });
}

function longFile(file, text) {
  const lines = text.replace(/\n$/, '').split('\n').length;
  if (lines <= FILE_LINES_MAX) return [];
  const what = `${lines} lines in the file, ${FILE_LINES_MAX} at most: split it by idea`;
  return [{ file, line: 1, severity: 'error', what }];
}

function longFunctions(file, source) {
  const found = [];
  const visit = (node) => {
    if (ts.isFunctionLike(node) && node.body) {
      const line = lineOf(source, node);
      const lines = source.getLineAndCharacterOfPosition(node.end).line + 2 - line;
      const most = lines > FUNCTION_LINES_MAX ? FUNCTION_LINES_MAX : FUNCTION_LINES_GOOD;
      if (lines > FUNCTION_LINES_GOOD) {
        const severity = lines > FUNCTION_LINES_MAX ? 'error' : 'warning';
        const name = node.name?.getText(source) ?? 'function';
        found.push({
          file,
          line,
          severity,
          what: `${lines} lines in ${name}, ${most} at most: leave the control flow in it, move the leaves out`,
        });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}
