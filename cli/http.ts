/**
 * Asks a local headgate process over HTTP: the admin server of an agent or a router, or the control server of
 * the clouds.
 */
import { readFileSync } from 'node:fs';
import { USER_HEADER, userText } from '../shared/audit/caller.ts';
import { errorCode } from '../shared/config/references.ts';
import { EXIT, type ExitCode } from '../shared/exit-codes.ts';
import { thrownText } from './output.ts';
import { terminal } from './terminal.ts';

/** Default addresses, as in agent.yaml, router.yaml and `headgate clouds`. */
export const AGENT_ADMIN_URL = 'http://127.0.0.1:9464';
export const ROUTER_ADMIN_URL = 'http://127.0.0.1:9465';
export const CLOUDS_CONTROL_PORT = 9466;
export const CLOUDS_CONTROL_URL = `http://127.0.0.1:${CLOUDS_CONTROL_PORT}`;

const TIMEOUT_DEFAULT_MS = 5000;

interface Question {
  base: string;
  path: string;
  method?: 'GET' | 'PUT' | 'DELETE';
  /** Sent as JSON. */
  body?: unknown;
  /** The expected program, for error messages: `the agent`. */
  who: string;
  timeoutMs?: number;
  /** False: a server without a login. Default: the token of the environment goes with the question. */
  logsIn?: boolean;
}

/** The token, or a file with it: never an argument, which all users of a machine can read. */
const TOKEN = 'HEADGATE_ADMIN_TOKEN';
const TOKEN_FILE = 'HEADGATE_ADMIN_TOKEN_FILE';

type Answer = { ok: true; body: unknown } | { ok: false; message: string; code: ExitCode };

/** The JSON body of a 2xx answer, or an error message for the user. */
export async function ask(question: Question): Promise<Answer> {
  const { base, path, method = 'GET', body, who, timeoutMs = TIMEOUT_DEFAULT_MS } = question;
  if (!URL.canParse(path, base) || !/^https?:$/.test(new URL(path, base).protocol)) {
    return {
      ok: false,
      message: `"${base}" is not an address such as http://127.0.0.1:9464`,
      code: EXIT.usage,
    };
  }
  const login = question.logsIn === false ? {} : authorization();
  if (login instanceof Error) return { ok: false, message: login.message, code: EXIT.usage };
  let response: Response;
  let text: string;
  try {
    response = await fetch(new URL(path, base), {
      method,
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        ...login,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(method === 'GET' ? {} : { [USER_HEADER]: userText(terminal().env) }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    text = await response.text();
  } catch (error) {
    const message = `${who} does not answer at ${base} (${networkCause(error, timeoutMs)})`;
    return { ok: false, message, code: EXIT.unavailable };
  }
  const parsed = parseJson(text);
  if (parsed === undefined) {
    return {
      ok: false,
      message: `what answers at ${base} is not ${who} of headgate`,
      code: EXIT.unavailable,
    };
  }
  if (response.ok) return { ok: true, body: parsed };
  const told =
    typeof parsed === 'object' && parsed !== null && 'error' in parsed ? String(parsed.error) : text;
  const hint = response.status === 401 ? `; ${TOKEN_FILE} names a file with it` : '';
  return { ok: false, message: `${who} answered ${response.status}: ${told}${hint}`, code: EXIT.failed };
}

function authorization(): Record<string, string> | Error {
  const { [TOKEN]: given, [TOKEN_FILE]: file } = terminal().env;
  let token = given ?? '';
  if (token === '' && file !== undefined && file !== '') {
    try {
      token = readFileSync(file, 'utf8').trim();
    } catch (error) {
      return new Error(`${TOKEN_FILE}: ${file} cannot be read (${errorCode(error)})`);
    }
  }
  if (token === '') return {};
  // A header of other characters would be an error that quotes them.
  return /^[!-~]+$/.test(token)
    ? { authorization: `Bearer ${token}` }
    : new Error(`${TOKEN}: expected visible ASCII characters`);
}

function networkCause(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return thrownText(error);
  if (error.name === 'TimeoutError') return `no answer in ${timeoutMs / 1000} s`;
  const cause = error.cause;
  if (cause instanceof Error && 'code' in cause && typeof cause.code === 'string') return cause.code;
  return thrownText(cause ?? error);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether a body is the document of this `kind`. */
export function isKind(body: unknown, kind: string): boolean {
  return typeof body === 'object' && body !== null && 'kind' in body && body.kind === kind;
}
