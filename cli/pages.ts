/** Requests an answer in pages, page by page. */
import { EXIT, type ExitCode } from '../shared/exit-codes.ts';
import { ask } from './http.ts';

/** The first page for a large fleet includes totals over all streams: seconds for each 100,000 streams. */
const TIMEOUT_MS = 60_000;

interface PagesQuestion {
  base: string;
  path: string;
  query: Readonly<Record<string, string>>;
  /** The expected program: `the router`. */
  who: string;
}

type Pages<Page> = { ok: true; pages: Page[] } | { ok: false; message: string; code: ExitCode };

/**
 * All pages from the first on; `isPage` distinguishes a page from another program's answer. A page without
 * `next` is the last.
 */
export async function askPages<Page>(
  { base, path, query, who }: PagesQuestion,
  isPage: (body: unknown) => boolean,
): Promise<Pages<Page>> {
  const pages: Page[] = [];
  for (let after: string | null = null; ; ) {
    const search = new URLSearchParams({ ...query, ...(after === null ? {} : { after }) }).toString();
    const answer = await ask({
      base,
      path: search === '' ? path : `${path}?${search}`,
      who,
      timeoutMs: TIMEOUT_MS,
    });
    if (!answer.ok) return answer;
    const { body } = answer;
    if (!isPage(body)) {
      return {
        ok: false,
        message: `what answers at ${base} is not ${who} of headgate`,
        code: EXIT.unavailable,
      };
    }
    pages.push(body as Page);
    const next = typeof body === 'object' && body !== null && 'next' in body ? body.next : null;
    if (typeof next !== 'string') return { ok: true, pages };
    after = next;
  }
}
