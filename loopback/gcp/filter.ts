/**
 * A subscription's filter, as far as it compares one attribute ("Filter messages from a subscription"):
 * `attributes.name="value"`.
 */
import type { PubsubMessage } from './messages.ts';

const ATTRIBUTE_EQUALS = /^attributes\.(\w+) ?= ?"([^"\\]*)"$/;

/** Null when it is no filter that the loopback reads. */
export function messageFilter(filter: string): ((message: PubsubMessage) => boolean) | null {
  if (filter === '') return () => true;
  const [, name, value] = ATTRIBUTE_EQUALS.exec(filter.trim()) ?? [];
  if (name === undefined || value === undefined) return null;
  return ({ attributes }) => attributes[name] === value;
}
