/**
 * A test waits for an event, with test/until.ts, or by the manual clock. It does not sleep until something
 * has probably happened, and it does not measure how long something took: both fail on a busy machine and on
 * no other.
 */
import {
  type BinaryExpression,
  isBinaryExpression,
  isCallExpression,
  isFunctionDeclaration,
  isIdentifier,
  isImportDeclaration,
  isPropertyAccessExpression,
  isStringLiteral,
  isVariableDeclaration,
  type Node,
  SyntaxKind,
} from 'typescript/unstable/ast';
import { type ClockKind, Clocks } from './clocks.ts';
import { lineOf, nodesOf } from './parse.ts';
import { type Finding, isTest, type Tree } from './tree.ts';

/** Files and folders where real time is the matter itself, each with its reason. */
const REAL_TIME: Readonly<Record<string, string>> = {
  'test/until.ts': 'the one wait',
  'test/forward-clock.ts': 'the one clock of real time that a test can put forward',
  'test/faulty-disk/faulty-disk.servers.ts': 'measures how long a slow disk holds up the loop',
  'test/runner/': 'limits and reports the time of whole files',
  'test/latency.ts': 'the latency of a played cloud, on whose length no assertion depends',
  'test/skipping-clock.ts': 'a clock: the system’s with leaps',
  'test/attempt.ts': 'a deadline is an instant of the clock',
  'test/crash/': 'a campaign: kills processes at random moments and reports its rates',
  'test/crash-router/': 'a campaign: kills processes at random moments and reports its rates',
  'test/fuzz/': 'a campaign: feeds hostile input for a given time and reports its rates',
  'test/powercut/': 'a campaign: cuts the power at random moments',
  'test/faulty-disk/':
    'watches for a while what a failing disk must not bring, and measures lag beside a slow one',
  'test/attack/': 'compares medians of one process in quiet and under attack, as a ratio; asserts no time',
  'test/drills/': 'begins and ends outages at given seconds, and reports how long recovery takes',
  'test/weather/': 'changes the weather at given seconds, and measures how long recovery takes',
  'test/sim/main.ts': 'reports how much faster than life the worlds run',
};

const WAITING = 'wait for the event, use test/until.ts, or drive test/manual-clock.ts';
const MEASURING = 'a busy machine is slow; show the order of events, or drive test/manual-clock.ts';

const OWN_WAIT = /^(?:until|eventually|waitFor|waitUntil|poll(?:Until)?)$/;

export function waits(tree: Tree): Finding[] {
  const clocks = new Clocks(tree.modules);
  return tree.modules
    .filter(({ path }) => isTest(path) && !Object.keys(REAL_TIME).some((place) => path.startsWith(place)))
    .flatMap(({ path, source }) => {
      const found: Finding[] = [];
      for (const node of nodesOf(source)) {
        const message = wrongWait(node) ?? wrongUse(node, (clock) => clocks.kindOf(path, clock));
        if (message !== null) found.push({ file: path, line: lineOf(node), message });
      }
      return found;
    });
}

/** The mistake in the use of a clock; null without one. */
function wrongUse(node: Node, kindOf: (clock: Node) => ClockKind | null): string | null {
  const call = isSinceMoment(node) ? node.left : node;
  if (!isCallExpression(call) || !isPropertyAccessExpression(call.expression)) return null;
  const method = call.expression.name.text;
  if (!/^(?:sleep|setTimer|every|monoMs|wallMs)$/.test(method)) return null;
  const kind = kindOf(call.expression.expression);
  if (kind === null) return null;
  const callee = call.expression.getText();
  if (method === 'sleep') return `${callee}: ${WAITING}`;
  if (kind !== 'system') return null;
  if (method === 'wallMs') return call === node ? null : `time that went by: ${MEASURING}`;
  return `${callee}: ${method === 'monoMs' ? MEASURING : WAITING}`;
}

/** Now less a moment that was noted before. Now less a constant is a date. */
function isSinceMoment(node: Node): node is BinaryExpression {
  if (!isBinaryExpression(node) || node.operatorToken.kind !== SyntaxKind.MinusToken) return false;
  const { right } = node;
  return isPropertyAccessExpression(right) || (isIdentifier(right) && !/^[A-Z_]+$/.test(right.text));
}

/** The mistake of a node by itself; null without one. */
function wrongWait(node: Node): string | null {
  if (isImportDeclaration(node)) {
    const { moduleSpecifier } = node;
    const isTimers =
      isStringLiteral(moduleSpecifier) && /^(?:node:)?timers\/promises$/.test(moduleSpecifier.text);
    if (isTimers && /\b(?:setTimeout|setInterval|scheduler|\*)/.test(node.importClause?.getText() ?? '*'))
      return `a sleep: ${WAITING}`;
  }
  if (isCallExpression(node)) {
    const callee = node.expression.getText();
    if (/^(?:setTimeout|setInterval)$/.test(callee)) return `${callee}: ${WAITING}`;
    if (/^(?:performance\.now|process\.hrtime(?:\.bigint)?)$/.test(callee)) return `${callee}: ${MEASURING}`;
  }
  if (isSinceMoment(node) && node.left.getText() === 'Date.now()') return `time that went by: ${MEASURING}`;
  if (isFunctionDeclaration(node) && OWN_WAIT.test(node.name?.text ?? ''))
    return `a wait of its own, ${node.name?.text}: use test/until.ts`;
  if (isVariableDeclaration(node) && isIdentifier(node.name) && OWN_WAIT.test(node.name.text)) {
    const kind = node.initializer?.kind;
    if (kind === SyntaxKind.ArrowFunction || kind === SyntaxKind.FunctionExpression)
      return `a wait of its own, ${node.name.text}: use test/until.ts`;
  }
  return null;
}
