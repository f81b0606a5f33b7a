// Checks on the syntax tree: calls that read a clock or roll dice where decisions are made, and the length of files and functions.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { isTestFile, sourceFiles } from '../files.ts';
import type { CheckResult } from './check.ts';

const FILE_LINES_MAX = 600;
const FUNCTION_LINES_MAX = 70;

/** Where time and randomness may be read: the drivers, the composition root, and what is not shipped. */
const EXEMPT = [
  'packages/runtime/src/node/',
  'packages/dashboard/src/browser/',
  'packages/cli/',
  'tests/',
  'tools/',
  'examples/',
  'bench/',
];
const BANNED_MEMBERS: Readonly<Record<string, readonly string[]>> = { Date: ['now'], Math: ['random'], performance: ['now', 'timeOrigin'] };
const BANNED_CALLS = new Set(['setTimeout', 'setInterval']);
const BANNED_MODULES = /^(node:)?(timers|timers\/promises|perf_hooks)$/;

export function checkCalls(root: string, files: readonly string[] = sourceFiles(root)): CheckResult {
  const checked = files.filter((file) => !EXEMPT.some((folder) => file.startsWith(folder)) && !isTestFile(file));
  const problems = checked.flatMap((file) => bannedCalls(file, readFileSync(join(root, file), 'utf8')));
  return { ok: problems.length === 0, detail: `${checked.length} files`, output: problems.join('\n') };
}

/** One line for each use of a clock, timer or die. */
export function bannedCalls(path: string, text: string): string[] {
  const source = parse(path, text);
  const problems: string[] = [];
  const report = (node: ts.Node, what: string, port: string): void => {
    const { line, character } = source.getLineAndCharacterOfPosition(node.getStart(source));
    problems.push(`${path}:${line + 1}:${character + 1} ${what} is banned here: take time and randomness as arguments, or use ${port}`);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node)) {
      const object = globalName(node.expression);
      const member = ts.isPropertyAccessExpression(node) ? node.name.text : literalText(node.argumentExpression);
      if (member !== undefined && BANNED_MEMBERS[object]?.includes(member)) {
        report(node, `${object}.${member}`, object === 'Math' ? 'the Random port' : 'the Clock port');
      } else if (object === 'globalThis' && member !== undefined && BANNED_CALLS.has(member)) report(node, member, 'Clock.after');
    } else if (ts.isIdentifier(node) && BANNED_CALLS.has(node.text) && isReference(node)) report(node, node.text, 'Clock.after');
    else if (ts.isNewExpression(node) && globalName(node.expression) === 'Date' && (node.arguments?.length ?? 0) === 0) {
      report(node, 'new Date() without an argument', 'the Clock port');
    } else if (ts.isImportDeclaration(node) && BANNED_MODULES.test(literalText(node.moduleSpecifier) ?? '')) {
      report(node, `node:${literalText(node.moduleSpecifier)?.replace('node:', '')}`, 'the Clock port');
    } else if (ts.isVariableDeclaration(node) && ts.isObjectBindingPattern(node.name) && node.initializer !== undefined) {
      // const { now } = Date
      for (const element of node.name.elements) {
        const member = (element.propertyName ?? element.name).getText(source);
        const object = globalName(node.initializer);
        if (BANNED_MEMBERS[object]?.includes(member)) report(element, `${object}.${member}`, 'the ports of runtime');
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return problems;
}

export function checkSize(root: string, files: readonly string[] = sourceFiles(root)): CheckResult {
  const problems: string[] = [];
  const notes: string[] = [];
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8');
    const lines = text.trimEnd().split('\n').length;
    if (lines > FILE_LINES_MAX) problems.push(`${file} has ${lines} lines; the ceiling is ${FILE_LINES_MAX}: split it by responsibility`);
    notes.push(...longFunctions(file, text));
  }
  const note =
    notes.length === 0
      ? []
      : [`note: ${notes.length} functions are longer than ${FUNCTION_LINES_MAX} lines`, ...notes.map((line) => `  ${line}`)];
  return { ok: problems.length === 0, detail: `${files.length} files`, output: [...problems, ...note].join('\n') };
}

/** Test suites are left out: `describe` callbacks are lists, not functions to follow. */
function longFunctions(path: string, text: string): string[] {
  if (isTestFile(path)) return [];
  const source = parse(path, text);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const from = source.getLineAndCharacterOfPosition(node.getStart(source)).line;
      const length = source.getLineAndCharacterOfPosition(node.end).line - from + 1;
      if (length > FUNCTION_LINES_MAX) found.push(`${path}:${from + 1} ${node.name?.getText(source) ?? 'a function'} has ${length} lines`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function parse(path: string, text: string): ts.SourceFile {
  return ts.createSourceFile(
    path,
    text,
    ts.ScriptTarget.Latest,
    true,
    /\.m?js$/.test(path) ? ts.ScriptKind.JS : path.endsWith('.tsx') ? ts.ScriptKind.TSX : ts.ScriptKind.TS,
  );
}

/** `Date` for `Date` and for `globalThis.Date`; empty for what is not a plain global. */
function globalName(node: ts.Expression): string {
  if (ts.isIdentifier(node)) return node.text;
  if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === 'globalThis')
    return node.name.text;
  return '';
}

function literalText(node: ts.Expression): string | undefined {
  return ts.isStringLiteralLike(node) ? node.text : undefined;
}

/** Whether an identifier stands for a value, not for a property, a declared name or a type. */
function isReference(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isPropertyAssignment(parent)) return parent.initializer === node;
  if (ts.isTypeQueryNode(parent)) return false;
  const declares =
    ts.isVariableDeclaration(parent) || ts.isParameter(parent) || ts.isMethodDeclaration(parent) || ts.isMethodSignature(parent);
  return !(
    (declares || ts.isPropertySignature(parent) || ts.isPropertyDeclaration(parent) || ts.isFunctionDeclaration(parent)) &&
    parent.name === node
  );
}
