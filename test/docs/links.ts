/** Links, paths and anchors that Markdown pages name, and those of them that lead nowhere. */
import { posix } from 'node:path';

/** The tree that pages are checked against: every tracked file, with its text. */
export type Files = ReadonlyMap<string, string>;

/** Targets of `[text](target)` outside code, web addresses left out, with the line of each. */
function linksOf(markdown: string): Array<{ line: number; target: string }> {
  return prose(markdown).flatMap((text, index) =>
    [...text.replaceAll(/`[^`]*`/g, '').matchAll(/\]\(([^)\s]+)\)/g)]
      .map((match) => match[1] ?? '')
      .filter((target) => !/^[a-z]+:/.test(target))
      .map((target) => ({ line: index + 1, target })),
  );
}

/**
 * Paths of this repository in backticks: with a first part that is one of `roots`, or a TypeScript file.
 * Patterns (`*`, `<name>`) are no paths.
 */
function pathsOf(markdown: string, roots: ReadonlySet<string>): Array<{ line: number; target: string }> {
  return prose(markdown).flatMap((text, index) =>
    [...text.matchAll(/`([\w.-]+(?:\/[\w.-]+)*\/?)`/g)]
      .map((match) => match[1] ?? '')
      .filter(
        (target) => target.includes('/') && (roots.has(target.split('/')[0] ?? '') || /\.ts$/.test(target)),
      )
      .map((target) => ({ line: index + 1, target })),
  );
}

/** Each link and path of `page` that leads nowhere, as `file:line: target`. */
export function broken(page: string, files: Files): string[] {
  const text = files.get(page) ?? '';
  const paths = withFolders(files);
  const roots = new Set([...paths].filter((path) => !path.includes('/')));
  const dead = linksOf(text).filter(({ target }) => !leads(page, target, files, paths));
  const missing = pathsOf(text, roots).filter(({ target }) => !isThere(target.replace(/\/$/, ''), paths));
  return [...dead, ...missing].map(({ line, target }) => `${page}:${line}: ${target}`);
}

/** From the root; or the end of a file's path, where a page is about one folder. */
function isThere(target: string, paths: ReadonlySet<string>): boolean {
  return (
    paths.has(target) || [...paths].some((path) => path.endsWith(`/${target}`) && target.endsWith('.ts'))
  );
}

function leads(page: string, target: string, files: Files, paths: ReadonlySet<string>): boolean {
  const [path = '', anchor] = target.split('#');
  const at = path === '' ? page : posix.join(posix.dirname(page), path).replace(/\/$/, '');
  if (!paths.has(at)) return false;
  return anchor === undefined || !at.endsWith('.md') || anchorsOf(files.get(at) ?? '').has(anchor);
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(markdown: string): Set<string> {
  const headings = prose(markdown).flatMap((line) => /^#+ (.*)$/.exec(line)?.[1] ?? []);
  const seen = new Map<string, number>();
  return new Set(
    headings.map((heading) => {
      const slug = heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-');
      const times = seen.get(slug) ?? 0;
      seen.set(slug, times + 1);
      return times === 0 ? slug : `${slug}-${times}`;
    }),
  );
}

/** The lines of a page; those inside fences are empty. */
function prose(markdown: string): string[] {
  let isFenced = false;
  return markdown.split('\n').map((line) => {
    const isFence = /^\s*```/.test(line);
    if (isFence) isFenced = !isFenced;
    return isFence || isFenced ? '' : line;
  });
}

function withFolders(files: Files): Set<string> {
  const paths = new Set(files.keys());
  for (const file of files.keys()) {
    for (let at = posix.dirname(file); at !== '.'; at = posix.dirname(at)) paths.add(at);
  }
  return paths;
}
