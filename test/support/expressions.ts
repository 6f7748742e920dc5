import { type Node, type SourceFile, SyntaxKind } from 'typescript/unstable/ast';
import {
  isCallExpression,
  isIdentifier,
  isPropertyAccessExpression,
  isVariableDeclaration,
} from 'typescript/unstable/ast/is';
import { API } from 'typescript/unstable/sync';

/** What a source file does with regular expressions. */
export interface Expressions {
  readonly file: string;
  /** The expressions as they are written, between slashes. */
  readonly literals: readonly string[];
  /** Code that makes an expression of what is no literal: `RegExp` itself, and methods that make one of a text. */
  readonly made: readonly string[];
}

/** Methods of a string that take a text for an expression. */
const TAKE_TEXTS = new Set(['match', 'matchAll', 'search']);

/** Reads the files of a project, which TypeScript's own parser takes apart: it alone tells `/` from `/`. */
export function expressionsIn(folder: string, isWanted: (file: string) => boolean): Expressions[] {
  const api = new API({ cwd: folder });
  try {
    const snapshot = api.updateSnapshot({ openProject: `${folder}/tsconfig.json` });
    return snapshot.getProjects().flatMap(({ program }) =>
      program
        .getSourceFileNames()
        .filter((name) => name.startsWith(`${folder}/`) && isWanted(name.slice(folder.length + 1)))
        .map((name) => {
          const source = program.getSourceFile(name);
          if (source === undefined) throw new Error(`${name} cannot be read`);
          return { file: name.slice(folder.length + 1), ...expressionsOf(source) };
        }),
    );
  } finally {
    api.close();
  }
}

function expressionsOf(source: SourceFile): Omit<Expressions, 'file'> {
  const literals: string[] = [];
  const made: string[] = [];
  const named = new Set<string>();
  const given: { argument: Node; code: string }[] = [];
  const visit = (node: Node): void => {
    if (node.kind === SyntaxKind.RegularExpressionLiteral) literals.push(textOf(source, node));
    if (isVariableDeclaration(node) && node.initializer?.kind === SyntaxKind.RegularExpressionLiteral)
      named.add(textOf(source, node.name));
    if (isIdentifier(node) && node.text === 'RegExp' && node.parent.kind !== SyntaxKind.TypeReference)
      made.push(textOf(source, node.parent));
    if (isCallExpression(node) && isPropertyAccessExpression(node.expression)) {
      const [argument] = node.arguments;
      if (argument && TAKE_TEXTS.has(node.expression.name.text))
        given.push({ argument, code: textOf(source, node) });
    }
    node.forEachChild(visit);
  };
  source.forEachChild(visit);
  const fromTexts = given.filter(
    ({ argument }) =>
      argument.kind !== SyntaxKind.RegularExpressionLiteral && !named.has(textOf(source, argument)),
  );
  return { literals, made: [...made, ...fromTexts.map(({ code }) => code)] };
}

function textOf(source: SourceFile, node: Node): string {
  return source.text.slice(node.pos, node.end).trim();
}
