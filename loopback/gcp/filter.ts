/**
 * A subscription's filter; only comparisons of one attribute are supported ("Filter messages from a
 * subscription"): `attributes.name="value"`.
 */
import type { PubsubMessage } from './messages.ts';

const ATTRIBUTE_EQUALS = /^attributes\.(\w+) ?= ?"([^"\\]*)"$/;

/** Null for an unsupported filter. */
export function messageFilter(filter: string): ((message: PubsubMessage) => boolean) | null {
  if (filter === '') return () => true;
  const [, name, value] = ATTRIBUTE_EQUALS.exec(filter.trim()) ?? [];
  if (name === undefined || value === undefined) return null;
  return ({ attributes }) => attributes[name] === value;
}
