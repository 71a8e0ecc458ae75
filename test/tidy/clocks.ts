/** Names that stand for the system's clock in a file, through imports, constants and objects that hold it. */
import {
  isBlock,
  isIdentifier,
  isImportDeclaration,
  isNamedImports,
  isNewExpression,
  isObjectBindingPattern,
  isObjectLiteralExpression,
  isParameterDeclaration,
  isPropertyAssignment,
  isShorthandPropertyAssignment,
  isSpreadAssignment,
  isStringLiteral,
  isVariableStatement,
  type Node,
  type SourceFile,
  type VariableDeclaration,
} from 'typescript/unstable/ast';
import { type Module, nodesOf } from './parse.ts';
import { resolveImport } from './tree.ts';

/** `sleeps`: a clock of its own making, whose sleep is the system's. */
export type ClockKind = 'system' | 'sleeps';
/** By name: `clock`, `deps.clock`; the empty name is the value itself. */
type Kinds = Map<string, ClockKind>;

const CLOCK = 'shared/clock.ts';
const REAL_SLEEP = /^(?:SkippingClock|ForwardClock)$/;

export class Clocks {
  readonly #modules: ReadonlyMap<string, Module>;
  readonly #known = new Map<string, Kinds>();

  constructor(modules: readonly Module[]) {
    this.#modules = new Map(modules.map((module) => [module.path, module]));
  }

  /** The kind of clock that an expression in a module names; null when it is none of the system's. */
  kindOf(path: string, expression: Node): ClockKind | null {
    const text = expression.getText();
    const [root = ''] = text.split('.', 1);
    const names = this.#namesOf(path);
    for (let node: Node = expression; node.parent; node = node.parent) {
      if (isParameterOf(node, root)) return null;
      if (!isBlock(node)) continue;
      const inner = declarationsOf(node.statements).find(({ name }) => binds(name, root));
      if (inner) return bound(inner, names).get(text) ?? null;
    }
    return names.get(text) ?? null;
  }

  /** The clocks that a module knows at its top. */
  #namesOf(path: string): Kinds {
    const known = this.#known.get(path);
    if (known) return known;
    const names: Kinds = new Map();
    this.#known.set(path, names);
    const source = this.#modules.get(path)?.source;
    if (!source) return names;
    for (const [name, kind] of this.#imported(path, source)) names.set(name, kind);
    for (const declaration of declarationsOf(source.statements))
      for (const [name, kind] of bound(declaration, names)) names.set(name, kind);
    return names;
  }

  *#imported(path: string, source: SourceFile): Generator<[string, ClockKind]> {
    for (const statement of source.statements) {
      if (!isImportDeclaration(statement) || !isStringLiteral(statement.moduleSpecifier)) continue;
      const target = resolveImport(path, statement.moduleSpecifier.text);
      const bindings = statement.importClause?.namedBindings;
      if (target === null || !bindings || !isNamedImports(bindings)) continue;
      for (const { name, propertyName } of bindings.elements) {
        const imported = (propertyName ?? name).text;
        if (target === CLOCK && imported === 'systemClock') yield [name.text, 'system'];
        else yield* under(this.#namesOf(target), imported, name.text);
      }
    }
  }
}

/** The facts about `from`, and about its members, under the name `to`. */
function* under(names: Kinds, from: string, to: string): Generator<[string, ClockKind]> {
  for (const [name, kind] of names)
    if (name === from || name.startsWith(`${from}.`)) yield [`${to}${name.slice(from.length)}`, kind];
}

function declarationsOf(statements: readonly Node[]): VariableDeclaration[] {
  return statements.flatMap((statement) =>
    isVariableStatement(statement) ? [...statement.declarationList.declarations] : [],
  );
}

/** Whether a function has a parameter that gives `name` a meaning. */
function isParameterOf(node: Node, name: string): boolean {
  let isOne = false;
  node.forEachChild((child) => {
    if (isParameterDeclaration(child) && binds(child.name, name)) isOne = true;
  });
  return isOne;
}

/** Whether a name or a pattern gives `name` a meaning. */
function binds(target: Node, name: string): boolean {
  return [...nodesOf(target)].some((node) => isIdentifier(node) && node.text === name);
}

/** The clocks that a declaration names. */
function bound({ name: target, initializer }: VariableDeclaration, names: Kinds): Kinds {
  const found: Kinds = new Map();
  if (!initializer) return found;
  const values = valuesOf(initializer, names);
  if (isIdentifier(target)) {
    for (const [name, kind] of values) found.set(`${target.text}${name}`, kind);
  } else if (isObjectBindingPattern(target)) {
    for (const { name, propertyName } of target.elements) {
      const kind = values.get(`.${(propertyName ?? name)?.getText()}`);
      if (kind && name) found.set(name.getText(), kind);
    }
  }
  return found;
}

/** The clocks in a value: `''` is the value itself, `.clock` a property of it. */
function valuesOf(value: Node, names: Kinds): Kinds {
  if (isNewExpression(value))
    return new Map(REAL_SLEEP.test(value.expression.getText()) ? [['', 'sleeps']] : []);
  if (!isObjectLiteralExpression(value)) return new Map(under(names, value.getText(), ''));
  const found: Kinds = new Map();
  for (const property of value.properties) {
    if (isSpreadAssignment(property)) {
      for (const [name, kind] of valuesOf(property.expression, names))
        found.set(name, name === '' ? 'sleeps' : kind);
      continue;
    }
    const key = property.name?.getText() ?? '';
    found.delete(`.${key}`);
    if (key === 'sleep') found.delete('');
    const held = isPropertyAssignment(property) ? property.initializer : property.name;
    if (!held || !(isPropertyAssignment(property) || isShorthandPropertyAssignment(property))) continue;
    for (const [name, kind] of valuesOf(held, names)) found.set(`.${key}${name}`, kind);
  }
  return found;
}
