/**
 * Documents of device shadows: merge, versions, delta. After "Device Shadow service documents" (AWS IoT Core
 * developer guide). Not implemented: `metadata` with its time per field.
 */
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';

type Json = z.output<ReturnType<typeof z.json>>;
type JsonObject = Record<string, Json>;

const section = z.record(z.string(), z.json()).nullable().optional();
const updateRequest = z.object({
  state: z.object({ desired: section, reported: section }),
  version: z.int().optional(),
  clientToken: z.string().optional(),
});

interface Shadow {
  desired: JsonObject;
  reported: JsonObject;
  version: number;
  timestamp: number;
}

/** The answer to a shadow request: a document, or an AWS error. */
export type ShadowAnswer =
  | { kind: 'document'; document: JsonObject }
  | { kind: 'error'; status: number; type: string; message: string };

/** Size limit of the state document ("AWS IoT Device Shadow service limits and quotas"). */
const DOCUMENT_BYTES_MAX = 8192;

export class ShadowStore {
  readonly #clock: Clock;
  readonly #shadows = new Map<string, Shadow>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `name` is empty for the classic shadow. */
  get(thing: string, name: string): ShadowAnswer {
    const shadow = this.#shadows.get(`${thing}/${name}`);
    if (!shadow) {
      const message = `No shadow exists with name: '${name ? `${thing}~${name}` : thing}'`;
      return { kind: 'error', status: 404, type: 'ResourceNotFoundException', message };
    }
    const { desired, reported, version, timestamp } = shadow;
    const delta = difference(desired, reported);
    const state: JsonObject = { desired, reported, ...(Object.keys(delta).length > 0 && { delta }) };
    return { kind: 'document', document: { state, version, timestamp } };
  }

  update(thing: string, name: string, body: string): ShadowAnswer {
    const parsed = updateRequest.safeParse(parseJson(body));
    if (!parsed.success) return invalid('Payload is not a JSON document with a "state" node');
    const { state, version, clientToken } = parsed.data;
    const key = `${thing}/${name}`;
    const before = this.#shadows.get(key) ?? { desired: {}, reported: {}, version: 0, timestamp: 0 };
    if (version !== undefined && version !== before.version) {
      return { kind: 'error', status: 409, type: 'ConflictException', message: 'Version conflict' };
    }
    const shadow: Shadow = {
      desired: mergeSection(before.desired, state.desired),
      reported: mergeSection(before.reported, state.reported),
      version: before.version + 1,
      timestamp: Math.floor(this.#clock.wallMs() / 1000),
    };
    if (Buffer.byteLength(JSON.stringify([shadow.desired, shadow.reported])) > DOCUMENT_BYTES_MAX) {
      const message = 'The payload exceeds the maximum size allowed';
      return { kind: 'error', status: 413, type: 'RequestEntityTooLargeException', message };
    }
    this.#shadows.set(key, shadow);
    const accepted: JsonObject = {
      ...(state.desired !== undefined && { desired: state.desired }),
      ...(state.reported !== undefined && { reported: state.reported }),
    };
    const { timestamp } = shadow;
    const token: JsonObject = clientToken === undefined ? {} : { clientToken };
    return {
      kind: 'document',
      document: { state: accepted, version: shadow.version, timestamp, ...token },
    };
  }
}

function invalid(message: string): ShadowAnswer {
  return { kind: 'error', status: 400, type: 'InvalidRequestException', message };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON: the schema refuses undefined.
    return undefined;
  }
}

/** A null section is emptied; an absent one stays. */
function mergeSection(before: JsonObject, patch: JsonObject | null | undefined): JsonObject {
  if (patch === undefined) return before;
  return patch === null ? {} : merge(before, patch);
}

/** Objects merge, null removes, all other values replace, including arrays. */
function merge(before: JsonObject, patch: JsonObject): JsonObject {
  const merged = { ...before };
  for (const [key, value] of Object.entries(patch)) {
    const old = merged[key];
    if (value === null) delete merged[key];
    else merged[key] = isObject(value) ? merge(isObject(old) ? old : {}, value) : value;
  }
  return merged;
}

/** The part of `desired` that differs from `reported`. */
function difference(desired: JsonObject, reported: JsonObject): JsonObject {
  const delta: JsonObject = {};
  for (const [key, value] of Object.entries(desired)) {
    const actual = reported[key];
    if (isObject(value) && isObject(actual)) {
      const inner = difference(value, actual);
      if (Object.keys(inner).length > 0) delta[key] = inner;
    } else if (JSON.stringify(value) !== JSON.stringify(actual)) {
      delta[key] = value;
    }
  }
  return delta;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
