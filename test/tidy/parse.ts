/**
 * A source file as the tidy rules see it, read by the compiler's own parser. Its API is still called
 * unstable, but the TypeScript package is pinned, so it changes only when we change it.
 */
import {
  type BindingName,
  type CallExpression,
  type ClassDeclaration,
  type ExportDeclaration,
  type Identifier,
  type ImportDeclaration,
  isArrowFunction,
  isAwaitExpression,
  isBindingElement,
  isCallExpression,
  isClassDeclaration,
  isExportDeclaration,
  isExpressionWithTypeArguments,
  isFunctionDeclaration,
  isGetAccessorDeclaration,
  isIdentifier,
  isImportDeclaration,
  isImportTypeNode,
  isInterfaceDeclaration,
  isLiteralTypeNode,
  isMethodDeclaration,
  isNamedExports,
  isNamedImports,
  isObjectBindingPattern,
  isPropertyAccessExpression,
  isPropertyDeclaration,
  isStringLiteral,
  isTypeAliasDeclaration,
  isTypeReferenceNode,
  isVariableDeclaration,
  isVariableStatement,
  type Node,
  type SourceFile,
  SyntaxKind,
} from 'typescript/unstable/ast';
import { createVirtualFileSystem } from 'typescript/unstable/fs';
import { API } from 'typescript/unstable/sync';

export interface Import {
  specifier: string;
  /**
   * The names that are taken from the module; `all` where that cannot be seen (`import *`, `import()` kept
   * whole).
   */
  names: readonly string[] | 'all';
  /** Erased before it runs: `import type`, `export type`, `import('./x.ts').Y` as a type. */
  isType: boolean;
  line: number;
}

export interface Export {
  name: string;
  line: number;
  /** An interface or a type alias. */
  isType: boolean;
  /** The types that its declaration mentions. */
  mentions: ReadonlySet<string>;
}

export interface Member {
  /** `Class.member` */
  name: string;
  member: string;
  line: number;
}

export interface Module {
  path: string;
  text: string;
  source: SourceFile;
  imports: Import[];
  exports: Export[];
  /** Methods, accessors and fields of its classes that are not private. */
  members: Member[];
  /** Names of the properties that it reads, calls or takes out of an object. */
  properties: Set<string>;
  /**
   * String literals that may name a module to run: of `new URL('worker.ts', import.meta.url)` and the like.
   */
  paths: string[];
}

/**
 * Parses TypeScript and JavaScript files, given by path and text. Nothing is resolved, nothing is read from
 * the disk.
 */
export function parseModules(files: ReadonlyMap<string, string>): Module[] {
  if (files.size === 0) return [];
  const project = '/tsconfig.json';
  const compilerOptions = { noLib: true, noResolve: true, types: [], allowJs: true };
  const entries = [...files].map(([path, text]) => [`/${path}`, text]);
  const api = new API({
    cwd: '/',
    fs: createVirtualFileSystem({
      ...Object.fromEntries(entries),
      [project]: JSON.stringify({ compilerOptions, files: [...files.keys()] }),
    }),
  });
  try {
    const [opened] = api.updateSnapshot({ openProjects: [project] }).getProjects();
    return [...files].map(([path, text]) => {
      const source = opened?.program.getSourceFile(`/${path}`);
      if (!source) throw new Error(`${path}: not parsed`);
      return moduleOf(path, text, source);
    });
  } finally {
    api.close();
  }
}

/** Every node of a file, parents first. */
export function* nodesOf(node: Node): Generator<Node> {
  yield node;
  const children: Node[] = [];
  node.forEachChild((child) => {
    children.push(child);
  });
  for (const child of children) yield* nodesOf(child);
}

/** Line of a node, from 1. */
export function lineOf(node: Node): number {
  const source = node.getSourceFile();
  return source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
}

function moduleOf(path: string, text: string, source: SourceFile): Module {
  const module: Module = {
    path,
    text,
    source,
    imports: [],
    exports: [],
    members: [],
    properties: new Set(),
    paths: [],
  };
  for (const node of nodesOf(source)) {
    if (isImportDeclaration(node)) module.imports.push(importOf(node));
    else if (isExportDeclaration(node)) readExportDeclaration(node, module);
    else if (isImportTypeNode(node)) module.imports.push(...importTypeOf(node));
    else if (isCallExpression(node) && (isImportCall(node) || isRequireCall(node)))
      module.imports.push(...dynamicImportOf(node));
    else if (isStringLiteral(node) && !isSpecifier(node)) module.paths.push(node.text);
    else if (isPropertyAccessExpression(node)) module.properties.add(node.name.text);
    else if (isBindingElement(node)) module.properties.add((node.propertyName ?? node.name)?.getText() ?? '');
    else if (isClassDeclaration(node)) module.members.push(...membersOf(node));
  }
  for (const statement of source.statements) module.exports.push(...exportsOf(statement));
  return module;
}

function importOf(node: ImportDeclaration): Import {
  const names: string[] = [];
  const bindings = node.importClause?.namedBindings;
  if (node.importClause?.name) names.push('default');
  const whole = bindings !== undefined && !isNamedImports(bindings);
  if (bindings && isNamedImports(bindings)) {
    for (const { name, propertyName } of bindings.elements) names.push((propertyName ?? name).text);
  }
  return {
    specifier: textOf(node.moduleSpecifier),
    names: whole ? 'all' : names,
    isType: node.importClause?.phaseModifier === SyntaxKind.TypeKeyword,
    line: lineOf(node),
  };
}

function readExportDeclaration(node: ExportDeclaration, module: Module): void {
  const line = lineOf(node);
  const clause = node.exportClause;
  const named = clause && isNamedExports(clause) ? [...clause.elements] : null;
  for (const { name, isTypeOnly } of named ?? []) {
    module.exports.push({
      name: name.text,
      line,
      isType: node.isTypeOnly || isTypeOnly,
      mentions: new Set(),
    });
  }
  if (!node.moduleSpecifier) return;
  const names = named?.map(({ name, propertyName }) => (propertyName ?? name).text) ?? 'all';
  module.imports.push({ specifier: textOf(node.moduleSpecifier), names, isType: node.isTypeOnly, line });
}

/** `import('./x.ts').Y` as a type. */
function importTypeOf(node: Node): Import[] {
  if (!isImportTypeNode(node) || !isLiteralTypeNode(node.argument)) return [];
  const { qualifier } = node;
  const names = qualifier && isIdentifier(qualifier) ? [qualifier.text] : 'all';
  return [{ specifier: textOf(node.argument.literal), names, isType: true, line: lineOf(node) }];
}

function isImportCall({ expression }: CallExpression): boolean {
  return expression.kind === SyntaxKind.ImportKeyword;
}

/** `createRequire(…)('x')` */
function isRequireCall({ expression }: CallExpression): boolean {
  return isCallExpression(expression) && expression.expression.getText() === 'createRequire';
}

/** `await import('./x.ts')`, with the names when it is taken apart at once. */
function dynamicImportOf(node: CallExpression): Import[] {
  const [argument] = node.arguments;
  if (!argument || !isStringLiteral(argument)) return [];
  const { parent } = node;
  let target: BindingName | undefined;
  if (isAwaitExpression(parent) && isVariableDeclaration(parent.parent)) target = parent.parent.name;
  if (isPropertyAccessExpression(parent) && parent.name.text === 'then' && isCallExpression(parent.parent)) {
    const [then] = parent.parent.arguments;
    if (then && isArrowFunction(then)) target = then.parameters[0]?.name;
  }
  const names =
    target && isObjectBindingPattern(target)
      ? target.elements.map(({ name, propertyName }) => (propertyName ?? name)?.getText() ?? '')
      : 'all';
  return [{ specifier: argument.text, names, isType: false, line: lineOf(node) }];
}

function exportsOf(statement: Node): Export[] {
  if (isVariableStatement(statement)) {
    if (!isExported(statement)) return [];
    const names = statement.declarationList.declarations.flatMap(({ name }) => namesIn(name));
    const mentions = typesIn(statement);
    return names.map((node) => ({ name: node.text, line: lineOf(node), isType: false, mentions }));
  }
  const isType = isInterfaceDeclaration(statement) || isTypeAliasDeclaration(statement);
  if (!isType && !isFunctionDeclaration(statement) && !isClassDeclaration(statement)) return [];
  if (!isExported(statement)) return [];
  const isDefault = statement.modifiers?.some(({ kind }) => kind === SyntaxKind.DefaultKeyword);
  const name = isDefault ? 'default' : (statement.name?.text ?? 'default');
  return [{ name, line: lineOf(statement), isType, mentions: typesIn(statement) }];
}

function isExported({ modifiers }: { modifiers?: readonly Node[] }): boolean {
  return modifiers?.some(({ kind }) => kind === SyntaxKind.ExportKeyword) ?? false;
}

function membersOf(declaration: ClassDeclaration): Member[] {
  return declaration.members.flatMap((node): Member[] => {
    if (!isMethodDeclaration(node) && !isPropertyDeclaration(node) && !isGetAccessorDeclaration(node))
      return [];
    const { name } = node;
    if (!isIdentifier(name)) return [];
    return [{ name: `${declaration.name?.text}.${name.text}`, member: name.text, line: lineOf(node) }];
  });
}

/** The names of the types in a declaration, those that it extends and implements among them. */
function typesIn(declaration: Node): Set<string> {
  const names = new Set<string>();
  for (const node of nodesOf(declaration)) {
    const name = isTypeReferenceNode(node)
      ? node.typeName
      : isExpressionWithTypeArguments(node)
        ? node.expression
        : null;
    if (name && isIdentifier(name)) names.add(name.text);
  }
  return names;
}

/** The names that a declaration binds. */
function namesIn(name: BindingName): Identifier[] {
  if (isIdentifier(name)) return [name];
  return name.elements.flatMap((element) => (element.name ? namesIn(element.name) : []));
}

/** Whether a string is the module name of an import, which is read as that. */
function isSpecifier({ parent }: Node): boolean {
  return (
    isImportDeclaration(parent) ||
    isExportDeclaration(parent) ||
    (isCallExpression(parent) && parent.expression.kind === SyntaxKind.ImportKeyword) ||
    (isLiteralTypeNode(parent) && isImportTypeNode(parent.parent))
  );
}

function textOf(node: Node): string {
  return isStringLiteral(node) ? node.text : '';
}
