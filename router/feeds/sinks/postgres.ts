/**
 * Inserts the ledger's records into a table of another PostgreSQL database, each exactly once. That database
 * keeps the feed's position too, and moves it in the transaction of the records, only from its last known
 * value. So neither a crash at any point nor a second router inserts a record twice, even where the first
 * copy was deleted since.
 */
import type pg from 'pg';
import type { Clock } from '../../../shared/clock.ts';
import type { Logger } from '../../../shared/log.ts';
import { errorText } from '../../../shared/log.ts';
import { within } from '../../../shared/within.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { Database, type Queryable } from '../../ledger/postgres/connection.ts';
import type { FeedPosition, LedgerRecord } from '../../ledger/types.ts';
import { DeliveryError, type FeedSink, type Move, type Refusal } from '../sink.ts';
import type { PostgresFeedOptions } from './postgres-options.ts';
import { jsonbText } from './postgres-payload.ts';
import { createTables, POSITIONS } from './postgres-schema.ts';
import { payloadOf } from './record-json.ts';

/** Waits of one write: for a connection, BEGIN, two statements, COMMIT. Each has the `timeout`. */
const STATEMENTS_MAX = 5;
/** Years 1 to 9999, which every client of the database can read. */
const TIME_MS_MIN = -62_135_596_800_000;
const TIME_MS_MAX = 253_402_300_799_999;

export class PostgresSink implements FeedSink {
  readonly #name: string;
  readonly #schema: string;
  readonly #table: string;
  readonly #isJsonKept: boolean;
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  #tablesMade: boolean = false;

  /** `name` is the feed's. */
  constructor(
    name: string,
    { url, schema, table, json, timeout }: PostgresFeedOptions,
    { clock, log }: { clock: Clock; log: Logger },
  ) {
    this.#name = name;
    this.#schema = schema;
    this.#table = table;
    this.#isJsonKept = json;
    this.#clock = clock;
    this.#timeoutMs = timeout;
    const lost = (_event: string, fields: Record<string, unknown>): void =>
      log.warn({ event: 'feed.connection_lost', feed: name, ...fields });
    this.#db = new Database({ url, schema, connectionsMax: 2, timeoutMs: timeout }, clock, { warn: lost });
  }

  async write(records: readonly LedgerRecord[], { from, after }: Move): Promise<number> {
    const writing = this.#db.transaction(async (client) => {
      await this.#moveOn(client, from, after(records.length), records.at(-1));
      try {
        await insert(client, this.#table, this.#rowsOf(records));
      } catch (error) {
        throw new DeliveryError(errorText(error), { refusal: refusalOf(error), cause: error });
      }
    });
    await this.#timely(writing);
    return records.length;
  }

  async check(): Promise<void> {
    await this.#timely(this.#db.query('SELECT 1'));
  }

  /**
   * A ledger restored from a backup gives its offsets to other records, and the destination's position would
   * skip them. So that position counts only where the ledger still has its witness. Otherwise `known` counts,
   * and the table drops repeats by their ids.
   */
  async position(known: FeedPosition, ledger: Pick<Ledger, 'read'>): Promise<FeedPosition> {
    await this.#makeTables();
    const { rows } = await this.#db.query<PositionRow>(
      `SELECT last_offset AS "offset", progress, witness_offset AS "witnessOffset", witness
       FROM ${POSITIONS} WHERE feed = $1`,
      [this.#name],
    );
    const [row] = rows;
    if (row && (await isWitnessed(row, ledger))) return { offset: row.offset, progress: row.progress };
    await this.setPosition(known);
    return known;
  }

  async setPosition({ offset, progress }: FeedPosition): Promise<void> {
    await this.#makeTables();
    await this.#db.query(
      `INSERT INTO ${POSITIONS} (feed, last_offset, progress) VALUES ($1, $2, $3)
       ON CONFLICT (feed) DO UPDATE SET last_offset = excluded.last_offset, progress = excluded.progress,
         witness_offset = NULL, witness = NULL`,
      [this.#name, offset, progress],
    );
  }

  close(): Promise<void> {
    return this.#db.close();
  }

  #rowsOf(records: readonly LedgerRecord[]): Row[] {
    return records.map((record) => {
      const bytes = payloadOf(record);
      const json = this.#isJsonKept ? jsonbText(bytes) : null;
      return { record, json, bytes: json === null ? bytes : null };
    });
  }

  /** A late transaction may still commit: the position shows that to the next try. */
  #timely<Result>(work: Promise<Result>): Promise<Result> {
    const limitMs = STATEMENTS_MAX * this.#timeoutMs;
    return within(this.#clock, limitMs, work, () => {
      throw new Error(`no answer within ${limitMs / 1000} s`);
    });
  }

  async #makeTables(): Promise<void> {
    if (this.#tablesMade) return;
    await this.#db.transaction((client) => createTables(client, this.#schema, this.#table));
    this.#tablesMade = true;
  }

  /** Runs first, so that the second of two routers waits here and then finds that the position has moved. */
  async #moveOn(
    client: Queryable,
    from: FeedPosition,
    to: FeedPosition,
    witness: LedgerRecord | undefined,
  ): Promise<void> {
    const { rows } = await client.query(
      `UPDATE ${POSITIONS} SET last_offset = $4, progress = $5, witness_offset = $6, witness = $7
       WHERE feed = $1 AND last_offset = $2 AND progress = $3 RETURNING feed`,
      [
        this.#name,
        from.offset,
        from.progress,
        to.offset,
        to.progress,
        witness?.offset ?? null,
        witness ? idOf(witness) : null,
      ],
    );
    if (rows.length === 0) throw new Error('the position in the destination was moved by another process');
  }
}

/**
 * By the class of the SQLSTATE (PostgreSQL manual, "Error Codes"): data exceptions, violated constraints,
 * exceeded limits and errors that a trigger raises concern the rows.
 */
function refusalOf(error: unknown): Refusal {
  const code: unknown = Reflect.get(Object(error), 'code');
  return typeof code === 'string' && /^(22|23|44|54|P0)/.test(code) ? 'certain' : 'none';
}

interface PositionRow extends FeedPosition, pg.QueryResultRow {
  witnessOffset: number | null;
  witness: string | null;
}

/** A position that was set by hand has no witness, and counts. */
async function isWitnessed(
  { witnessOffset, witness }: PositionRow,
  ledger: Pick<Ledger, 'read'>,
): Promise<boolean> {
  if (witnessOffset === null) return true;
  const [record] = await ledger.read(witnessOffset - 1, 1);
  return record !== undefined && record.offset === witnessOffset && idOf(record) === witness;
}

/** Names may hold any character: with a plain separator two ids could be the same text. */
function idOf({ gateway, epoch, stream, seq }: LedgerRecord): string {
  return JSON.stringify([gateway, epoch, stream, seq]);
}

/** One of `json` and `bytes` is null. */
interface Row {
  record: LedgerRecord;
  json: string | null;
  bytes: Buffer | null;
}

/**
 * One statement. All bytes travel in one value that the server cuts: a bytea[] would go as hexadecimal text.
 */
async function insert(client: Queryable, table: string, rows: readonly Row[]): Promise<void> {
  const records = rows.map(({ record }) => record);
  const bytes = rows.map((row) => row.bytes);
  let end = 1;
  const starts = bytes.map((part) => {
    const start = end;
    end += part?.length ?? 0;
    return start;
  });
  await client.query(
    `INSERT INTO ${table} (gateway, epoch, stream, seq, device, topic, time, clock_quality, received, source,
       payload, payload_bytes)
     SELECT r.gateway, r.epoch, r.stream, r.seq, r.device, r.topic, to_timestamp(r.time), r.clock_quality,
       to_timestamp(r.received), r.source, r.json::jsonb, substring($1::bytea FROM r.start FOR r.length)
     FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::double precision[],
       $9::text[], $10::double precision[], $11::text[], $12::text[], $13::integer[], $14::integer[])
       AS r (gateway, epoch, stream, seq, device, topic, time, clock_quality, received, source, json, start, length)
     ON CONFLICT (gateway, epoch, stream, seq) DO NOTHING`,
    [
      Buffer.concat(bytes.filter((part) => part !== null)),
      records.map(({ gateway }) => gateway),
      records.map(({ epoch }) => epoch),
      records.map(({ stream }) => stream),
      records.map(({ seq }) => seq),
      records.map(({ device }) => device),
      records.map(({ topic }) => topic),
      records.map(({ wallMs }) => (wallMs >= TIME_MS_MIN && wallMs <= TIME_MS_MAX ? wallMs / 1000 : null)),
      records.map(({ clockQuality }) => clockQuality),
      records.map(({ receivedWallMs }) => receivedWallMs / 1000),
      records.map(({ source }) => source),
      rows.map(({ json }) => json),
      starts,
      bytes.map((part) => part?.length ?? null),
    ],
  );
}
