/** A terminal's screen, as far as this program uses one: text, line breaks and the moves of log-update. */
import stringWidth from 'string-width';

const SEQUENCE = new RegExp(`^${String.fromCharCode(27)}\\[(\\??\\d*)([A-Za-z])`);
const graphemes = new Intl.Segmenter();

export class TerminalScreen {
  readonly #columns: number;
  readonly #rows: number;
  /** Cells of the visible lines; a wide character fills its first cell and leaves '' in the second. */
  #lines: string[][] = [[]];
  #row = 0;
  #column = 0;
  /** Lines that went on in the next one for want of columns. */
  wraps = 0;

  constructor(columns: number, rows: number) {
    this.#columns = columns;
    this.#rows = rows;
  }

  lines(): string[] {
    return this.#lines.map((cells) =>
      Array.from(cells, (cell) => cell ?? ' ')
        .join('')
        .trimEnd(),
    );
  }

  write(text: string): void {
    for (let rest = text; rest !== ''; ) {
      const sequence = SEQUENCE.exec(rest);
      if (sequence) {
        this.#move(sequence[2] ?? '', Number(sequence[1] || 1));
        rest = rest.slice(sequence[0].length);
        continue;
      }
      const end = rest.indexOf(String.fromCharCode(27), 1);
      const plain = end < 0 ? rest : rest.slice(0, end);
      for (const { segment } of graphemes.segment(plain)) this.#put(segment);
      rest = rest.slice(plain.length);
    }
  }

  #put(character: string): void {
    if (character.includes('\r')) this.#column = 0;
    if (character.includes('\n')) this.#down();
    const width = stringWidth(character);
    if (width === 0) return;
    if (this.#column + width > this.#columns) {
      this.wraps += 1;
      this.#column = 0;
      this.#down();
    }
    const line = this.#lines[this.#row] ?? [];
    line[this.#column] = character;
    if (width === 2) line[this.#column + 1] = '';
    this.#column += width;
  }

  #down(): void {
    this.#row += 1;
    if (this.#row === this.#rows) {
      this.#lines.shift();
      this.#row -= 1;
    }
    this.#lines[this.#row] ??= [];
  }

  #move(command: string, count: number): void {
    if (command === 'A') this.#row = Math.max(0, this.#row - count);
    if (command === 'B') this.#row = Math.min(this.#lines.length - 1, this.#row + count);
    if (command === 'G') this.#column = 0;
    if (command === 'K')
      this.#lines[this.#row]?.splice(Number.isNaN(count) || count === 1 ? this.#column : 0);
  }
}
