/** Device twins: the desired half is the cloud's, the reported half the device's (Azure docs, "Understand device twins in IoT Hub"). */

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

export class Twins {
  readonly #halves = new Map<string, { desired: Half; reported: Half }>();

  /** Both halves, each with its `$version`, as a twin GET answers. */
  read(device: string): Twin {
    const { desired, reported } = this.#of(device);
    return {
      desired: { ...desired.properties, $version: desired.version },
      reported: { ...reported.properties, $version: reported.version },
    };
  }

  /** Merges a patch into one half; its new version. */
  patch(device: string, half: 'desired' | 'reported', patch: JsonObject): number {
    const target = this.#of(device)[half];
    target.properties = merge(target.properties, patch);
    target.version += 1;
    return target.version;
  }

  #of(device: string): { desired: Half; reported: Half } {
    const known = this.#halves.get(device);
    if (known) return known;
    const made = { desired: { properties: {}, version: 1 }, reported: { properties: {}, version: 1 } };
    this.#halves.set(device, made);
    return made;
  }
}

/** JSON merge patch (RFC 7396): null deletes, objects merge, all else replaces. */
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
