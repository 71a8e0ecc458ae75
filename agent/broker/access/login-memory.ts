/** Failed and right logins, remembered within bounds (I10). */
import { timingSafeEqual } from 'node:crypto';

const FAILURES_MAX = 10;
const FAILURES_WINDOW_MS = 60_000;
/** Of pairs of an address and a name. */
const FAILING_MAX = 10_000;
const REMEMBERED_MS = 7 * 86_400_000;
const REMEMBERED_MAX = 10_000;

interface Failing {
  address: string;
  name: string;
}

/** The failures of each name at each address, for a minute from the first on. */
export class FailedLogins {
  readonly #failures = new Map<string, { count: number; untilMs: number }>();

  add(login: Failing, nowMs: number): void {
    const key = keyOf(login);
    const known = this.#failures.get(key);
    if (known && nowMs < known.untilMs) known.count += 1;
    else keep(this.#failures, key, { count: 1, untilMs: nowMs + FAILURES_WINDOW_MS }, FAILING_MAX);
  }

  /** Whether the name has no further try at the address for now. */
  areMany(login: Failing, nowMs: number): boolean {
    const known = this.#failures.get(keyOf(login));
    return known !== undefined && nowMs < known.untilMs && known.count >= FAILURES_MAX;
  }
}

/** The tag of the newest right password of each name, for a week after its last use. */
export class RememberedLogins {
  readonly #tags = new Map<string, { tag: Buffer; untilMs: number }>();

  add(name: string, tag: Buffer, nowMs: number): void {
    keep(this.#tags, name, { tag, untilMs: nowMs + REMEMBERED_MS }, REMEMBERED_MAX);
  }

  has(name: string, tag: Buffer, nowMs: number): boolean {
    const known = this.#tags.get(name);
    return known !== undefined && nowMs < known.untilMs && timingSafeEqual(known.tag, tag);
  }
}

function keyOf({ address, name }: Failing): string {
  return `${address}\0${name}`;
}

/** Sets an entry as the newest; over `max` entries, the oldest is deleted. */
function keep<T>(map: Map<string, T>, key: string, value: T, max: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= max) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
