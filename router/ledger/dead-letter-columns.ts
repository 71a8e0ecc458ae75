/** What the columns of a dead letter have in common in every SQL engine. */
import { z } from 'zod';

const DETAIL_CHARACTERS_MAX = 500;

const properties = z.record(z.string(), z.string());

/** Bounds a text that may quote the input (I10). */
export function cutDetail(detail: string): string {
  return detail.slice(0, DETAIL_CHARACTERS_MAX);
}

/** From the JSON text of the column. */
export function propertiesOf(text: string): Record<string, string> {
  return properties.parse(JSON.parse(text));
}
