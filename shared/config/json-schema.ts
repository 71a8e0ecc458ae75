/** JSON Schema of a zod schema for editors: the form of the file, before defaults and parsing. */
import { z } from 'zod';
import type { Path } from './document.ts';
import { valueAt } from './document.ts';
import { byteSizeText, durationText } from './kinds.ts';

export type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Draft 7, which the YAML language servers support best. */
export function editorSchema(schema: z.ZodType, title: string): JsonSchema {
  const json = z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-07',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema._zod.def.type === 'default') writeDefault(jsonSchema, zodSchema._zod.def.defaultValue);
    },
  });
  return { ...json, title };
}

/**
 * zod omits a default whose parsed form (milliseconds, bytes) differs from its written form; this adds the
 * written form.
 */
function writeDefault(jsonSchema: JsonSchema, parsed: unknown): void {
  if (typeof parsed !== 'number' || jsonSchema.type !== 'string') return;
  if (jsonSchema.pattern?.includes('ms|s|m') === true) jsonSchema.default = durationText(parsed);
  else if (jsonSchema.pattern?.includes('KiB') === true) jsonSchema.default = byteSizeText(parsed);
}

/**
 * Every subschema that may describe the value at `path` in `value`; a subschema with another `type` is
 * excluded.
 */
export function schemasAt(root: JsonSchema, path: Path, value: unknown): JsonSchema[] {
  let here = alternatives(root, value);
  for (const [index, segment] of path.entries()) {
    const child = valueAt(value, path.slice(0, index + 1));
    here = here
      .flatMap((schema) => children(schema, segment))
      .flatMap((schema) => alternatives(schema, child));
  }
  return here;
}

/** The allowed keys of the mapping at `path`. */
export function knownKeys(root: JsonSchema, path: Path, value: unknown): string[] {
  const keys = schemasAt(root, path, value).flatMap((schema) => Object.keys(schema.properties ?? {}));
  return [...new Set(keys)];
}

function alternatives(schema: JsonSchema, value: unknown): JsonSchema[] {
  const options = schema.oneOf ?? schema.anyOf;
  if (options === undefined) return [schema];
  const schemas = options.flatMap((option) => alternatives(option, value));
  const fitting = schemas.filter((option) => {
    const discriminator = asSchema(option.properties?.['type'])?.const;
    return discriminator === undefined || discriminator === valueAt(value, ['type']);
  });
  return fitting.length > 0 ? fitting : schemas;
}

function children(schema: JsonSchema, segment: PropertyKey): JsonSchema[] {
  const property = asSchema(schema.properties?.[String(segment)]);
  if (property !== null) return [property];
  const items = Array.isArray(schema.items) ? schema.items : [schema.items];
  const rest = typeof segment === 'number' ? items : [schema.additionalProperties];
  return rest.map(asSchema).filter((child) => child !== null);
}

/** Draft 7 allows `true` and `false` as schemas; they say nothing about keys. */
function asSchema(schema: boolean | JsonSchema | undefined): JsonSchema | null {
  return typeof schema === 'object' ? schema : null;
}
