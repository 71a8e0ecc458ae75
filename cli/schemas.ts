/** The JSON Schemas for editors and for the reference pages, generated from the zod schemas. */
import type { z } from 'zod';
import { agentConfigSchema } from '../agent/config/config.ts';
import { routerConfigSchema } from '../router/config.ts';
import { editorSchema, type JsonSchema } from '../shared/config/json-schema.ts';
import { policySchema } from '../shared/policy/policy.ts';
import type { ConfigKind } from './check/finding.ts';

const SCHEMAS: Readonly<Record<ConfigKind, { schema: z.ZodType; title: string }>> = {
  agent: { schema: agentConfigSchema, title: 'Headgate agent configuration (agent.yaml)' },
  router: { schema: routerConfigSchema, title: 'Headgate router configuration (router.yaml)' },
  policy: { schema: policySchema, title: 'Headgate routing policy' },
};

/** The schema as the text of a file. */
export function schemaText(kind: ConfigKind): string {
  return `${JSON.stringify(jsonSchemaOf(kind), null, 2)}\n`;
}

export function jsonSchemaOf(kind: ConfigKind): JsonSchema {
  const { schema, title } = SCHEMAS[kind];
  return editorSchema(schema, title);
}
