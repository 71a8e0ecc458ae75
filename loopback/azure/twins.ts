/**
 * Device twins: the cloud writes the desired half, the device the reported half, with the limits of keys,
 * values and sizes (Azure docs, "Understand and use device twins in IoT Hub").
 */

export type JsonObject = { [key: string]: JsonValue };
export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;

interface Half {
  properties: JsonObject;
  version: number;
}

export interface Twin {
  desired: JsonObject;
  reported: JsonObject;
}

/** Size of each half, without the hub's own fields. */
const HALF_BYTES_MAX = 32 * 1024;
const KEY_BYTES_MAX = 1024;
const TEXT_BYTES_MAX = 4096;
const INTEGER_MAX = 4_503_599_627_370_495;
const DEPTH_MAX = 10;
/** Control characters C0 and C1, the full stop, the dollar sign and the space. */
const KEY_FORBIDDEN = /[\p{Cc} .$]/u;

export class Twins {
  readonly #halves = new Map<string, { desired: Half; reported: Half }>();

  /** Both halves, each with its `$version`: the answer to a twin GET. */
  read(device: string): Twin {
    const { desired, reported } = this.#of(device);
    return {
      desired: { ...desired.properties, $version: desired.version },
      reported: { ...reported.properties, $version: reported.version },
    };
  }

  /** Merges a patch into one half; returns its new version. */
  patch(device: string, half: 'desired' | 'reported', patch: JsonObject): number {
    const target = this.#of(device)[half];
    target.properties = merge(target.properties, patch);
    target.version += 1;
    return target.version;
  }

  /** Why the hub would refuse the patch; null when it would accept it. */
  problem(device: string, half: 'desired' | 'reported', patch: JsonObject): 'invalid' | 'too-large' | null {
    if (!isValid(patch, DEPTH_MAX)) return 'invalid';
    const patched = merge(this.#of(device)[half].properties, patch);
    return sizeOf(patched) > HALF_BYTES_MAX ? 'too-large' : null;
  }

  #of(device: string): { desired: Half; reported: Half } {
    const known = this.#halves.get(device);
    if (known) return known;
    const made = { desired: { properties: {}, version: 1 }, reported: { properties: {}, version: 1 } };
    this.#halves.set(device, made);
    return made;
  }
}

/** JSON merge patch (RFC 7396): null deletes, objects merge, all other values replace. */
function merge(target: JsonObject, patch: JsonObject): JsonObject {
  const merged = new Map(Object.entries(target));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, isObject(value) ? merge(asObject(merged.get(key)), value) : value);
  }
  return Object.fromEntries(merged);
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asObject(value: JsonValue | undefined): JsonObject {
  return isObject(value) ? value : {};
}

function isValid(value: JsonValue, depthLeft: number): boolean {
  if (typeof value === 'string') return Buffer.byteLength(value) <= TEXT_BYTES_MAX;
  if (typeof value === 'number') return !Number.isInteger(value) || Math.abs(value) <= INTEGER_MAX;
  if (typeof value !== 'object' || value === null) return true;
  if (depthLeft === 0) return false;
  if (Array.isArray(value)) return value.every((item) => isValid(item, depthLeft - 1));
  return Object.entries(value).every(
    ([key, item]) =>
      Buffer.byteLength(key) <= KEY_BYTES_MAX && !KEY_FORBIDDEN.test(key) && isValid(item, depthLeft - 1),
  );
}

/** "Device twin size": keys and texts by their length, numbers 8 bytes, booleans 4. */
function sizeOf(value: JsonValue): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (typeof value === 'number') return 8;
  if (typeof value === 'boolean') return 4;
  if (value === null) return 0;
  if (Array.isArray(value)) return value.reduce((bytes: number, item) => bytes + sizeOf(item), 0);
  return Object.entries(value).reduce(
    (bytes, [key, item]) => bytes + Buffer.byteLength(key) + sizeOf(item),
    0,
  );
}

/** Undefined for text that is not JSON. */
export function parseJson(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    return undefined; // The hub answers "invalid".
  }
}
