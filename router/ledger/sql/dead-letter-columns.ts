/** The columns of a dead letter, for all SQL engines. */
import { z } from 'zod';
import type { StoredDeadLetter } from '../maintenance.ts';
import type { DeadLetter } from '../types.ts';

const DETAIL_CHARACTERS_MAX = 500;

const properties = z.record(z.string(), z.string());

/** Bounds a text that may quote the input (I10). */
export function cutDetail(detail: string): string {
  return detail.slice(0, DETAIL_CHARACTERS_MAX);
}

/** A row for writing; a row that is read has its id and size too. */
interface Columns extends Omit<Required<DeadLetter>, 'properties'> {
  /** JSON. */
  properties: string;
}

/** A row that is read. */
export type DeadLetterRow = Columns & Pick<StoredDeadLetter, 'id' | 'sizeBytes'>;

export function columnsOf(letter: DeadLetter): Columns {
  const { source, reason, detail, bytes, receivedWallMs } = letter;
  const { authenticatedGateway = null, properties: said = {} } = letter;
  const columns = { source, reason, bytes, receivedWallMs, authenticatedGateway };
  return { ...columns, detail: cutDetail(detail), properties: JSON.stringify(said) };
}

export function storedFrom({ properties: text, ...row }: DeadLetterRow): StoredDeadLetter {
  return { ...row, properties: properties.parse(JSON.parse(text)) };
}
