/**
 * The public keys of gateways, which sign tokens and envelopes, from a file that an operator edits while the
 * router runs. After a failed read, or of an invalid file, the last valid keys stay in force; before the
 * first valid file every token is refused, and signed envelopes wait.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { parse, YAMLParseError } from 'yaml';
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { identifier } from '../../shared/config/kinds.ts';
import { tokenAlgorithm } from '../../shared/gateway-token.ts';
import type { Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import { isSigningKey, keyIdOf } from '../../shared/signing/signature.ts';
import { WatchedFile } from '../../shared/watched-file.ts';

/** Keys of one gateway: the present key and the next ones, during a key change. */
const KEYS_MAX = 4;
const PROBLEMS_SHOWN = 5;

const publicKey = z.string().transform((pem, context): KeyObject => {
  try {
    const key = createPublicKey(pem);
    if (tokenAlgorithm(key) !== null) return key;
  } catch {
    // Reported below, like a key of an unsupported type.
  }
  context.addIssue({ code: 'custom', message: 'expected an Ed25519 or P-256 public key in PEM' });
  return z.NEVER;
});

/** `gateways: { gw-1: { accept: signed, public_keys: ["-----BEGIN PUBLIC KEY-----…"] } }` */
const fileSchema = z.strictObject({
  gateways: z.record(
    identifier(),
    z.strictObject({
      accept: z.enum(['signed', 'any']).optional(),
      public_keys: z.array(publicKey).min(1).max(KEYS_MAX),
    }),
  ),
});

/** The file's entry of one gateway. */
interface Registered<Key> {
  /** Null where the file leaves it to the sources. */
  accept: GatewayAccept | null;
  keys: readonly Key[];
}

/**
 * `signed`: nothing of the gateway is taken without a signature, whichever source brings it. `any`: it does
 * not sign, or no longer: its unverified records count for receipts.
 */
export type GatewayAccept = 'signed' | 'any';

interface GatewayKey {
  key: KeyObject;
  /** Null for a key that does not sign envelopes. */
  id: string | null;
}

function withId(key: KeyObject): GatewayKey {
  return { key, id: isSigningKey(key) ? keyIdOf(key) : null };
}

type Gateways = ReadonlyMap<string, Registered<KeyObject>>;

/** Rejects with a text for people when the file is unreadable or invalid. */
export async function readGatewayKeys(file: string): Promise<Gateways> {
  const read = gatewaysIn(await readFile(file, 'utf8'));
  if ('problem' in read) throw new Error(read.problem);
  return read.gateways;
}

function gatewaysIn(text: string): { gateways: Gateways } | { problem: string } {
  const yaml = yamlOf(text);
  if ('problem' in yaml) return yaml;
  const parsed = fileSchema.safeParse(yaml.value);
  if (!parsed.success) return { problem: problemOf(parsed.error) };
  const gateways = Object.entries(parsed.data.gateways).map(
    ([name, { accept = null, public_keys: keys }]) => [name, { accept, keys }] as const,
  );
  return { gateways: new Map(gateways) };
}

/** The parser's own messages would quote the text: by mistake it may hold a private key, in any place. */
function yamlOf(text: string): { value: unknown } | { problem: string } {
  try {
    return { value: parse(text, { logLevel: 'silent' }) };
  } catch (error) {
    const at = error instanceof YAMLParseError ? error.linePos?.[0] : undefined;
    return { problem: `not valid YAML${at === undefined ? '' : ` at line ${at.line}, column ${at.col}`}` };
  }
}

/** The first mistakes, without the gateway's name, which is of the file, too. */
function problemOf(error: z.ZodError): string {
  const texts = error.issues.slice(0, PROBLEMS_SHOWN).map(({ code, path: [section, , ...rest], message }) => {
    const place = section === 'gateways' ? ['gateways', ...rest].join('.') : 'the file';
    return `${place}: ${code === 'unrecognized_keys' ? 'unknown key' : message}`;
  });
  return [...new Set(texts)].join('; ');
}

export class GatewayKeys implements Service {
  readonly #file: string;
  readonly #log: Logger;
  readonly #watched: WatchedFile;
  #gateways: ReadonlyMap<string, Registered<GatewayKey>> = new Map();
  #isRead = false;

  constructor(file: string, { clock, log }: { clock: Clock; log: Logger }) {
    this.#file = file;
    this.#log = log;
    const onProblem = (error: string): void =>
      log.error({ event: 'api.gateways_not_read', file, error, inForce: this.#gateways.size });
    this.#watched = new WatchedFile({ file, take: () => this.#take(), onProblem, clock });
  }

  /** Reads the file and watches it. */
  start(): Promise<void> {
    return this.#watched.start();
  }

  stop(): Promise<void> {
    return this.#watched.stop();
  }

  /** Whether the file was ever valid. */
  get isRead(): boolean {
    return this.#isRead;
  }

  /** Empty for a gateway that is not registered. */
  of(gateway: string): readonly KeyObject[] {
    return (this.#gateways.get(gateway)?.keys ?? []).map(({ key }) => key);
  }

  /** The gateway's Ed25519 key with this id; null for one that is not registered. */
  signingKey(gateway: string, keyId: string): KeyObject | null {
    return this.#gateways.get(gateway)?.keys.find((known) => known.id === keyId)?.key ?? null;
  }

  /** The file's rule for unsigned envelopes of the gateway; null without one. */
  acceptOf(gateway: string): GatewayAccept | null {
    return this.#gateways.get(gateway)?.accept ?? null;
  }

  /** Reads the file where it has changed. Never rejects. */
  read(): Promise<void> {
    return this.#watched.read();
  }

  async #take(): Promise<string | null> {
    const read = gatewaysIn(await readFile(this.#file, 'utf8'));
    if ('problem' in read) return read.problem;
    this.#gateways = new Map(
      [...read.gateways].map(([name, { accept, keys }]) => [name, { accept, keys: keys.map(withId) }]),
    );
    this.#isRead = true;
    this.#log.info({ event: 'api.gateways_read', file: this.#file, gateways: this.#gateways.size });
    return null;
  }
}
