/** Texts that must not be written, where biome has no rule for it or a comment could switch its rule off. */
import { dirname } from 'node:path';
import {
  isAsExpression,
  isCatchClause,
  isClassDeclaration,
  isNonNullExpression,
  isPropertyAccessExpression,
  type Node,
  SyntaxKind,
} from 'typescript/unstable/ast';
import { lineOf, type Module, nodesOf } from './parse.ts';
import { type Finding, isSource, matchingLines, type Tree } from './tree.ts';

const LINES_MAX = 400;
/** The formatter's (biome.json), which leaves comments as they are. */
const COLUMNS_MAX = 110;

export function codeBans(tree: Tree): Finding[] {
  return tree.modules.flatMap((module) => {
    const findings: Finding[] = [];
    for (const node of nodesOf(module.source)) {
      const message = bannedNode(node, module);
      if (message !== null) findings.push({ file: module.path, line: lineOf(node), message });
    }
    return findings;
  });
}

/** Why a node may not be there, null when it may. */
function bannedNode(node: Node, { path }: Module): string | null {
  if (isPropertyAccessExpression(node)) {
    const name = `${node.expression.getText()}.${node.name.text}`;
    if (name === 'Math.random' && path !== 'shared/entropy.ts')
      return 'Math.random: take an Entropy (shared/entropy.ts) by argument (I11)';
    if (node.expression.getText() === 'console' && isSource(path))
      return `${name}: log through shared/log.ts; the command line prints through cli/output.ts`;
    if (node.name.text === 'testdir' && path !== 'test/test-dir.ts')
      return `${name}: take testDir of test/test-dir.ts, which removes the folder last`;
    return null;
  }
  if (isAsExpression(node) && node.type.kind === SyntaxKind.AnyKeyword)
    return 'as any: say what it is, or parse it with zod';
  if (isNonNullExpression(node)) return '!: handle the missing case, or make it impossible by type';
  if (isCatchClause(node) && node.block.statements.length === 0 && !/\/[/*]/.test(node.block.getText()))
    return 'empty catch: handle the error, or say in a comment why it may be ignored';
  if (isClassDeclaration(node) && /(?:Manager|Helper|Util|Utils|Impl|Base)$/.test(node.name?.text ?? ''))
    return `class ${node.name?.text}: name it by what it is in the field's words`;
  return null;
}

export function sizes(tree: Tree): Finding[] {
  return tree.modules
    .map(({ path, text }) => ({ path, lines: text.trimEnd().split('\n').length }))
    .filter(({ lines }) => lines > LINES_MAX)
    .map(({ path, lines }) => ({
      file: path,
      line: LINES_MAX + 1,
      message: `${lines} lines, at most ${LINES_MAX}: two things live in one file; part them`,
    }));
}

/** Comment lines wider than the code. An address may be: it cannot be broken. */
export function commentWidths(tree: Tree): Finding[] {
  return tree.modules.flatMap(({ path, text }) =>
    text.split('\n').flatMap((content, i): Finding[] => {
      const isComment = /^\s*(?:\/\/|\/\*|\*)/.test(content);
      if (!isComment || content.length <= COLUMNS_MAX || content.includes('://')) return [];
      const message = `a comment of ${content.length} columns, at most ${COLUMNS_MAX}: wrap it`;
      return [{ file: path, line: i + 1, message }];
    }),
  );
}

/** Comments that do not begin with a noun. */
export function commentBeginnings(tree: Tree): Finding[] {
  return tree.modules.flatMap(({ path, text }) =>
    [...matchingLines(text, /^\s*(?:\/\*\*|\*|\/\/) (?:What|Whatever|Who|Whoever) .*/)].map(
      ({ line, match }): Finding => ({
        file: path,
        line,
        message: `"${match.trim().slice(0, 40)}": begin with the noun`,
      }),
    ),
  );
}

/** Patterns are written so that they do not match themselves. */
const BANNED_TEXT: ReadonlyArray<{ pattern: RegExp; only?: RegExp; message: string }> = [
  {
    pattern: /@ts-(?:ignore|expect-error|nochec[k])/,
    only: /\.[tj]s$/,
    message: 'the compiler is right: change the types instead',
  },
  {
    pattern: /\b(?:TO[D]O|FIX[M]E|X[X]X|HAC[K])\b/,
    message: 'do it now, or write down the limit in the documentation',
  },
  {
    pattern: /(?:^|[\s"'`(=:])(?:\/home\/[a-z]|\/root\/|\/User[s]\/[a-zA-Z]|[A-Z]:\\User[s])/,
    message: 'a path of one machine: take it from the configuration or import.meta.url',
  },
  {
    pattern:
      /\b(?:registry\.(?:npmjs|yarnpkg)\.\w+|npm\.pkg\.github\.com|pypi\.or[g]|(?:artifactory|verdaccio|nexus)\.[a-z]+\.)/,
    message: 'a registry host: only the lock file names one',
  },
];

/** Parents of a checkout that say nothing about whose machine it is. */
const COMMON_FOLDERS = ['/', '/home', '/opt', '/srv', '/tmp', '/usr/src', '/var', '/mnt', '/src', '/app'];

/** `root` is the folder of this checkout, which no file may name. */
export function textBans(tree: Tree, root: string): Finding[] {
  const above = dirname(root);
  const places = COMMON_FOLDERS.includes(above) ? [root] : [root, `${above}/`];
  return [...tree.files].flatMap(([file, text]) => {
    const findings: Finding[] = [];
    for (const { pattern, only, message } of BANNED_TEXT) {
      if (only && !only.test(file)) continue;
      for (const { line, match } of matchingLines(text, pattern))
        findings.push({ file, line, message: `"${match.trim()}": ${message}` });
    }
    for (const [i, content] of text.split('\n').entries()) {
      const place = places.find((place) => content.includes(place));
      if (place !== undefined)
        findings.push({
          file,
          line: i + 1,
          message: `"${place}": the path of a checkout; use a relative one`,
        });
    }
    return findings;
  });
}
