/**
 * Text that fits a terminal. A table that is wider than it is folded: its columns go into several tables,
 * each with the key columns in front; a text that is wider than its column goes on in the next line. Nothing
 * is cut off. Widths are columns of the terminal: a CJK character or an emoji takes two.
 *
 * Pure: the caller says how wide the terminal is.
 */
import stringWidth from 'string-width';
import { printable, printableLines } from './printable.ts';

const GAP = '  ';
/** A text column may be narrowed to this much before it goes into the next table. */
const TEXT_COLUMN_MIN = 16;
/** Of the width, what the key columns may take. */
const KEYS_PART = 0.6;
/** No column is narrower. */
const COLUMN_MIN = 4;
const NUMBER = /^(–|-?\d.*)$/;

interface Column {
  heading: string;
  cells: string[];
  width: number;
  isRight: boolean;
}

export interface TableOptions {
  /** Columns of the terminal; `Infinity` where the text goes into a pipe or a file. */
  width: number;
  /** So many columns at the left say what a row is about. Default: 1. */
  keys?: number;
}

/** Rows under their headings, columns aligned: numbers and cells that start with a digit to the right. */
export function textTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  { width, keys = 1 }: TableOptions,
): string {
  const columns = headings.map((heading, at) =>
    columnOf(
      heading,
      rows.map((row) => printable(row[at] ?? '')),
    ),
  );
  const keyColumns = narrowed(columns.slice(0, keys), Math.floor(width * KEYS_PART));
  const room = width - widthOf(keyColumns) - GAP.length;
  const bands = bandsOf(columns.slice(keys), Math.max(room, COLUMN_MIN));
  if (bands.length === 0) return rendered(keyColumns, rows.length);
  return bands.map((band) => rendered([...keyColumns, ...band], rows.length)).join('\n\n');
}

/**
 * A text in lines of at most `width`, broken between words where it can be; the second and later ones are
 * indented.
 */
export function foldedText(text: string, width: number, indent = '  '): string {
  const clean = printableLines(text);
  if (stringWidth(clean) <= width) return clean;
  const [first = '', ...rest] = wrapped(clean, width, Math.max(COLUMN_MIN, width - indent.length));
  return [first, ...rest.map((line) => indent + line)].join('\n');
}

function columnOf(heading: string, cells: string[]): Column {
  const width = cells.reduce((most, cell) => Math.max(most, stringWidth(cell)), stringWidth(heading));
  return { heading, cells, width, isRight: cells.length > 0 && cells.every((cell) => NUMBER.test(cell)) };
}

function widthOf(columns: readonly Column[]): number {
  return columns.reduce((sum, { width }) => sum + width, 0) + GAP.length * Math.max(0, columns.length - 1);
}

/** The widest gives way first. */
function narrowed(columns: Column[], room: number): Column[] {
  const narrow = columns.map((column) => ({ ...column }));
  for (let over = widthOf(narrow) - room; over > 0; ) {
    const [widest, next] = narrow.toSorted((a, b) => b.width - a.width);
    if (!widest || widest.width <= COLUMN_MIN) break;
    const target = Math.max(
      COLUMN_MIN,
      widest.width - over,
      Math.min((next?.width ?? 0) - 1, widest.width - 1),
    );
    over -= widest.width - target;
    widest.width = target;
  }
  return narrow;
}

/** Columns in as few tables as they fit in, in their order. */
function bandsOf(columns: readonly Column[], room: number): Column[][] {
  const bands: Column[][] = [];
  let left = 0;
  for (const column of columns) {
    const band = bands.at(-1);
    const before = band ? left - GAP.length : 0;
    const isNarrowable = !column.isRight && before >= Math.max(TEXT_COLUMN_MIN, stringWidth(column.heading));
    if (band && (column.width <= before || isNarrowable)) {
      const width = Math.min(column.width, before);
      band.push({ ...column, width });
      left = before - width;
    } else {
      const width = Math.min(column.width, room);
      bands.push([{ ...column, width }]);
      left = room - width;
    }
  }
  return bands;
}

function rendered(columns: readonly Column[], count: number): string {
  const rows = Array.from({ length: count }, (_, row) => columns.map(({ cells }) => cells[row] ?? ''));
  return [columns.map(({ heading }) => heading), ...rows].flatMap((row) => lines(columns, row)).join('\n');
}

/** One row; a cell that is too wide makes it several lines. */
function lines(columns: readonly Column[], row: readonly string[]): string[] {
  const parts = columns.map(({ width }, at) => wrapped(row[at] ?? '', width, width));
  return Array.from({ length: Math.max(...parts.map(({ length }) => length)) }, (_, line) =>
    columns
      .map(({ width, isRight }, at) => {
        const text = parts[at]?.[line] ?? '';
        const blanks = ' '.repeat(Math.max(0, width - stringWidth(text)));
        return isRight ? blanks + text : text + blanks;
      })
      .join(GAP)
      .trimEnd(),
  );
}

function wrapped(text: string, firstWidth: number, width: number): string[] {
  const found: string[] = [];
  let rest = text;
  for (let room = firstWidth; stringWidth(rest) > room; room = width) {
    const fitting = fittingLength(rest, room);
    const space = rest.lastIndexOf(' ', fitting);
    const end = space > 0 ? space : fitting;
    found.push(rest.slice(0, end).trimEnd());
    rest = rest.slice(end).trimStart();
  }
  return [...found, rest];
}

const graphemes = new Intl.Segmenter();

/** Length of the longest start of `text` that takes at most `room` columns, and at least one character. */
function fittingLength(text: string, room: number): number {
  let [length, width] = [0, 0];
  for (const { segment } of graphemes.segment(text)) {
    width += stringWidth(segment);
    if (width > room && length > 0) break;
    length += segment.length;
  }
  return length;
}
