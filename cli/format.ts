/** Numbers and tables for a terminal. */
import { printable } from '../shared/printable.ts';
import { foldedText, textTable } from '../shared/text-table.ts';
import { terminal } from './terminal.ts';

/** `12.3k`, `4.5M`; a whole number below a thousand. */
export function countText(count: number): string {
  if (Math.abs(count) < 1000) return String(Math.round(count));
  if (Math.abs(count) < 1e6) return `${(count / 1e3).toFixed(1)}k`;
  return `${(count / 1e6).toFixed(1)}M`;
}

export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** `850ms`, `12.3s`, `4m 10s`, `3h 5m`, `2d 4h`; `–` for null. */
export function spanText(ms: number | null): string {
  if (ms === null) return '–';
  const seconds = Math.floor(ms / 1000);
  if (ms < 1000) return `${Math.round(ms)}ms`;
  if (seconds < 60) return `${(ms / 1000).toFixed(1)}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h ${Math.floor((seconds % 3600) / 60)}m`;
  return `${Math.floor(seconds / 86_400)}d ${Math.floor((seconds % 86_400) / 3600)}h`;
}

export function percentText(share: number | null): string {
  return share === null ? '–' : `${(share * 100).toFixed(1)}%`;
}

/**
 * Rows under their headings, folded to the terminal; the first `keys` columns identify a row.
 */
export function table(headings: readonly string[], rows: readonly (readonly string[])[], keys = 1): string {
  return textTable(headings, rows, { width: terminalWidth(), keys });
}

/** A line, folded to the terminal. */
export function line(text: string): string {
  return foldedText(printable(text), terminalWidth());
}

/** Width in columns. Without a terminal: the value of `COLUMNS`, or unlimited. */
function terminalWidth(): number {
  const { stdout, env } = terminal();
  if (stdout.isTTY && stdout.columns !== undefined && stdout.columns > 0) return stdout.columns;
  const told = Number(env['COLUMNS']);
  return Number.isInteger(told) && told > 0 ? told : Number.POSITIVE_INFINITY;
}
