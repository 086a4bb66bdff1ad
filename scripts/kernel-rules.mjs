// SPDX-License-Identifier: MIT
// The rules of kernel code, over the syntax of a file. Kernel code is plain synchronous TypeScript
// whose shared state lives in machine cells, so that it can be interrupted at every operation, run
// again with recorded results, and give the same run for the same choices. What breaks that is here.

import ts from 'typescript';
import { lineOf } from './source-files.mjs';

/** On the line above a `try`: this is where a task's frames are unwound to. */
export const TASK_BOUNDARY = '// kernel-rules: task boundary';

const REMEDIES = {
  'module-state':
    'declare a cell for shared state, or make it a const; another boot in the same process would share this',
  'mutable-collection':
    'keep it in cells or in what boot() makes; for a constant table use `as const`, Object.freeze or a readonly type (readonly T[], ReadonlyMap, ReadonlySet, ArrayLike<number>)',
  suspension:
    'write it as a plain synchronous function: blocking is an operation with a condition (lock, wait, schedule)',
  catch: `let it pass: a fault that nothing fixes up ends the task; only a task boundary may stop it, with \`${TASK_BOUNDARY}\` on the line above`,
  'host-global':
    'take time, choice and output from the machine: clocks and randomness are injected, text goes to printk',
  'for-in': 'name the keys, or walk an array: the order of a host object is not part of the model',
};

const HOST_GLOBALS = new Set([
  'Date',
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'queueMicrotask',
  'console',
  'process',
  'crypto',
  'globalThis',
]);

const MUTABLE_CLASSES = new Set([
  'Map',
  'Set',
  'WeakMap',
  'WeakSet',
  'Array',
  'ArrayBuffer',
  'SharedArrayBuffer',
  'DataView',
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
]);

const READONLY_TYPES = new Set([
  'Readonly',
  'ReadonlyArray',
  'ReadonlyMap',
  'ReadonlySet',
  'ArrayLike',
]);

/**
 * Checks files and says what breaks a rule, and which `try` blocks were allowed.
 *
 * @param {string[]} files
 * @returns {{ problems: Finding[], boundaries: { file: string, line: number }[] }}
 *
 * @typedef {{ file: string, line: number, rule: string, what: string, remedy: string }} Finding
 */
export function checkKernelRules(files) {
  // Binding needs no libraries and no imports: a name that the file does not declare is the host's.
  const options = { noLib: true, noResolve: true, types: [], target: ts.ScriptTarget.ES2022 };
  const program = ts.createProgram(files, options);
  const checker = program.getTypeChecker();
  const problems = [];
  const boundaries = [];
  for (const file of files) {
    const source = program.getSourceFile(file);
    if (!source) throw new Error(`kernel-rules: cannot read ${file}`);
    const report = (node, rule, what) => {
      problems.push({ file, line: lineOf(source, node), rule, what, remedy: REMEDIES[rule] });
    };
    for (const statement of source.statements) checkModuleState(statement, report);
    const visit = (node) => {
      checkSuspension(node, report);
      checkCatch(node, source, report, (line) => boundaries.push({ file, line }));
      checkHostGlobal(node, checker, report);
      checkStatic(node, report);
      if (ts.isForInStatement(node)) report(node, 'for-in', 'for … in');
      ts.forEachChild(node, visit);
    };
    ts.forEachChild(source, visit);
  }
  return { problems, boundaries };
}

function checkModuleState(statement, report) {
  if (!ts.isVariableStatement(statement) || hasModifier(statement, ts.SyntaxKind.DeclareKeyword)) {
    return;
  }
  const { declarationList } = statement;
  const constant = (declarationList.flags & ts.NodeFlags.Const) !== 0;
  for (const declaration of declarationList.declarations) {
    const name = declaration.name.getText();
    if (!constant) report(declaration, 'module-state', `module-level let or var ${name}`);
    else if (holdsMutable(declaration)) {
      report(declaration, 'mutable-collection', `module-level mutable collection ${name}`);
    }
  }
}

/** A static field is module state under another name. */
function checkStatic(node, report) {
  if (!ts.isPropertyDeclaration(node) || !hasModifier(node, ts.SyntaxKind.StaticKeyword)) return;
  const name = node.name.getText();
  if (!hasModifier(node, ts.SyntaxKind.ReadonlyKeyword)) {
    report(node, 'module-state', `static field ${name} that is not readonly`);
  } else if (holdsMutable(node)) {
    report(node, 'mutable-collection', `static mutable collection ${name}`);
  }
}

function holdsMutable({ type, initializer }) {
  if (!initializer || (type && isReadonlyType(type))) return false;
  let value = initializer;
  for (;;) {
    if (ts.isAsExpression(value) && (isConstType(value.type) || isReadonlyType(value.type))) {
      return false;
    }
    const wrapped =
      ts.isAsExpression(value) ||
      ts.isSatisfiesExpression(value) ||
      ts.isParenthesizedExpression(value);
    if (!wrapped) break;
    value = value.expression;
  }
  if (ts.isArrayLiteralExpression(value)) return true;
  if (ts.isObjectLiteralExpression(value)) return value.properties.length === 0;
  return makesCollection(value);
}

/** `new Map()`, `Uint8Array.of(…)`, `Array.from(…)`. */
function makesCollection(value) {
  if (ts.isNewExpression(value)) return isMutableClass(value.expression);
  if (!ts.isCallExpression(value)) return false;
  const callee = value.expression;
  if (!ts.isPropertyAccessExpression(callee)) return isMutableClass(callee);
  return isMutableClass(callee.expression) && ['from', 'of'].includes(callee.name.text);
}

function isMutableClass(node) {
  return ts.isIdentifier(node) && MUTABLE_CLASSES.has(node.text);
}

function isReadonlyType(type) {
  if (ts.isTypeOperatorNode(type)) return type.operator === ts.SyntaxKind.ReadonlyKeyword;
  if (!ts.isTypeReferenceNode(type)) return false;
  return ts.isIdentifier(type.typeName) && READONLY_TYPES.has(type.typeName.text);
}

function isConstType(type) {
  return ts.isTypeReferenceNode(type) && type.typeName.getText() === 'const';
}

function checkSuspension(node, report) {
  if (hasModifier(node, ts.SyntaxKind.AsyncKeyword)) report(node, 'suspension', 'async function');
  if (node.asteriskToken && ts.isFunctionLike(node)) report(node, 'suspension', 'generator');
  if (ts.isAwaitExpression(node)) report(node, 'suspension', 'await');
  if (ts.isForOfStatement(node) && node.awaitModifier) report(node, 'suspension', 'for await');
  if (ts.isYieldExpression(node)) report(node, 'suspension', 'yield');
  if (ts.isIdentifier(node) && node.text === 'Promise' && isUse(node)) {
    report(node, 'suspension', 'Promise');
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    report(node, 'suspension', 'import()');
  }
}

function checkCatch(node, source, report, allow) {
  if (!ts.isTryStatement(node)) return;
  const line = lineOf(source, node);
  const above = line < 2 ? '' : source.text.split('\n')[line - 2].trim();
  if (above === TASK_BOUNDARY) allow(line);
  else report(node, 'catch', node.catchClause ? 'try … catch' : 'try … finally');
}

function checkHostGlobal(node, checker, report) {
  if (!ts.isIdentifier(node)) return;
  if (HOST_GLOBALS.has(node.text) && isUse(node) && !isDeclared(node, checker)) {
    report(node, 'host-global', node.text);
  }
  const { parent } = node;
  if (node.text !== 'Math' || !ts.isPropertyAccessExpression(parent)) return;
  if (parent.expression === node && parent.name.text === 'random') {
    report(node, 'host-global', 'Math.random');
  }
}

/** Whether an identifier reads a name from its scope, and is not itself the name of something. */
function isUse(node) {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isQualifiedName(parent)) return parent.left === node;
  if (ts.isShorthandPropertyAssignment(parent)) return true;
  if (ts.isBindingElement(parent)) return parent.initializer === node;
  if (ts.isImportSpecifier(parent)) return false;
  if (ts.isExportSpecifier(parent)) return (parent.propertyName ?? parent.name) === node;
  return parent.name !== node && parent.label !== node;
}

/** Whether the file itself declares what the identifier stands for. */
function isDeclared(node, checker) {
  const symbol = ts.isShorthandPropertyAssignment(node.parent)
    ? checker.getShorthandAssignmentValueSymbol(node.parent)
    : checker.getSymbolAtLocation(node);
  return (symbol?.declarations?.length ?? 0) > 0;
}

function hasModifier(node, kind) {
  return (
    ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some((one) => one.kind === kind)
  );
}
