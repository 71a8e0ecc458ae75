/**
 * `routing.json` in the data folder: routing's memory over restarts. Within one boot monotonic time goes on,
 * so the time that the agent was stopped counts. After a reboot that time is unknown, and pauses continue
 * from their remainders (I7). A file that is damaged, of another version or too old to matter is ignored:
 * routing starts without it, and logs that (I9).
 */
import { z } from 'zod';
import type { Clock, Timer } from '../../shared/clock.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import { readStateFile, writeStateFile } from '../runtime/state-file.ts';
import type { RoutingMemory } from './core/core.ts';
import type { LiveRouting } from './live-routing.ts';

const LOOK_EVERY_MS = 1000;
/** Minimum interval between writes (I10): an SD card endures a flapping provider for years. */
const WRITE_EVERY_MS = 10_000;
/**
 * An older file is useless: penalties have expired, and after such a long pause another probe is due anyway.
 */
const AGE_MAX_MS = 600_000;

/** Upper bound for an age in milliseconds. */
const ms = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
/** Far above the entries of a configuration (I10). */
const ENTRIES_MAX = 1000;
/** The core's bound on remembered openings. */
const OPENINGS_MAX = 16;

/** The schema of the stored memory. */
const routingMemory: z.ZodType<RoutingMemory> = z.strictObject({
  providers: z
    .array(
      z.strictObject({
        name: z.string(),
        health: z.enum(['healthy', 'degraded', 'open', 'probing']),
        throttled: z.boolean(),
        forMs: ms,
        restMs: ms,
        pauseMs: ms,
        onTrial: z.boolean(),
        openedMs: z.array(ms).max(OPENINGS_MAX),
        typicalLatencyMs: ms,
        usualP95Ms: ms.nullable(),
        // Older files lack it.
        probesOwedUsd: z.number().min(0).default(0),
      }),
    )
    .max(ENTRIES_MAX),
  streams: z
    .array(z.strictObject({ name: z.string(), chosen: z.string().nullable(), forMs: ms }))
    .max(ENTRIES_MAX),
});

const fileSchema = z.strictObject({
  version: z.literal(1),
  bootId: z.string(),
  /** Monotonic time of that boot. */
  savedMs: z.number().min(0),
  memory: routingMemory,
});

export class RoutingFile implements Service {
  readonly #file: string;
  readonly #gateway: string | null;
  readonly #bootId: string;
  readonly #routing: LiveRouting;
  readonly #clock: Clock;
  readonly #log: Logger;
  #timer: Timer | null = null;
  #written = 0;
  #writtenMs = Number.NEGATIVE_INFINITY;
  #writing: Promise<void> = Promise.resolve();
  #writeFails: boolean = false;

  constructor(options: {
    file: string;
    /** Default: null, the file may be any gateway's. */
    gateway?: string;
    bootId: string;
    routing: LiveRouting;
    clock: Clock;
    log: Logger;
  }) {
    this.#file = options.file;
    this.#gateway = options.gateway ?? null;
    this.#bootId = options.bootId;
    this.#routing = options.routing;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** Resolves when the memory is restored: before the first envelope. Never rejects. */
  async start(): Promise<void> {
    const read = await readStateFile(this.#file, fileSchema, this.#gateway);
    if (read.state === 'ok') this.#restore(read.value);
    if (read.state === 'damaged') this.#fresh(read.problem);
    this.#written = this.#routing.changes;
    this.#timer = this.#clock.every(LOOK_EVERY_MS, () => this.#look());
  }

  async stop(): Promise<void> {
    if (!this.#timer) return;
    this.#timer.cancel();
    this.#timer = null;
    await this.#writing;
    await this.#write();
  }

  #restore({ bootId, savedMs, memory }: z.output<typeof fileSchema>): void {
    const sameBoot = bootId === this.#bootId;
    const elapsedMs = sameBoot ? this.#clock.monoMs() - savedMs : 0;
    if (elapsedMs < 0 || elapsedMs > AGE_MAX_MS) {
      this.#fresh(`written ${Math.round(elapsedMs / 1000)} s ago`);
      return;
    }
    this.#routing.dispatch({ kind: 'restored', memory, elapsedMs });
    this.#log.info({ event: 'routing.restored', sameBoot, elapsedMs: Math.round(elapsedMs) });
  }

  #fresh(problem: string): void {
    this.#log.warn({ event: 'routing.begins_afresh', file: this.#file, problem });
  }

  #look(): void {
    const due = this.#clock.monoMs() - this.#writtenMs >= WRITE_EVERY_MS;
    if (due && this.#routing.changes !== this.#written) this.#writing = this.#write();
  }

  /** Never rejects: routing works without the file (I9). */
  async #write(): Promise<void> {
    const memory = this.#routing.memory();
    const savedMs = this.#clock.monoMs();
    this.#written = this.#routing.changes;
    this.#writtenMs = savedMs;
    try {
      const content = { version: 1, bootId: this.#bootId, savedMs, memory };
      await writeStateFile(this.#file, content, this.#gateway);
      this.#writeFails = false;
    } catch (error) {
      if (!this.#writeFails) {
        this.#log.error({ event: 'routing.file_not_written', error: errorText(error) });
      }
      this.#writeFails = true;
      this.#written = -1;
    }
  }
}
