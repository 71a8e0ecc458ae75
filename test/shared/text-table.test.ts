import fc from 'fast-check';
import stringWidth from 'string-width';
import t from 'tap';
import { printableLines } from '../../shared/printable.ts';
import { foldedText, textTable } from '../../shared/text-table.ts';

const HEADINGS = ['PROVIDER', 'REGION', 'ACCEPTED', 'LAST ERROR'];
const ROWS = [
  ['aws', 'eu-west-1', '12', 'no answer in 3000 ms from the credential service at 169.254.169.254'],
  ['azure', 'westeurope', '4711', 'none'],
];

t.test('a table that fits is one table: numbers to the right, all else to the left', async (t) => {
  t.equal(
    textTable(HEADINGS.slice(0, 3), ROWS, { width: 80 }),
    [
      'PROVIDER  REGION      ACCEPTED',
      'aws       eu-west-1         12',
      'azure     westeurope      4711',
    ].join('\n'),
  );
});

t.test('a long text goes on in the next line of its column', async (t) => {
  t.equal(
    textTable(HEADINGS, ROWS, { width: 60 }),
    [
      'PROVIDER  REGION      ACCEPTED  LAST ERROR',
      'aws       eu-west-1         12  no answer in 3000 ms from',
      '                                the credential service at',
      '                                169.254.169.254',
      'azure     westeurope      4711  none',
    ].join('\n'),
  );
});

t.test('columns that do not fit go into the next table, behind what the row is about', async (t) => {
  t.equal(
    textTable(HEADINGS.slice(0, 3), ROWS, { width: 24 }),
    [
      'PROVIDER  REGION',
      'aws       eu-west-1',
      'azure     westeurope',
      '',
      'PROVIDER  ACCEPTED',
      'aws             12',
      'azure         4711',
    ].join('\n'),
  );
});

t.test('no line is wider than the terminal, and no cell is lost', async (t) => {
  const cell = fc
    .string({ unit: fc.constantFrom('a', 'b', '1', ' ', '–', '東', '🔋'), maxLength: 40 })
    .map((text) => text.trim());
  const tables = fc.integer({ min: 1, max: 12 }).chain((columns) =>
    fc.record({
      headings: fc.array(fc.string({ unit: fc.constantFrom('A', 'B'), minLength: 1, maxLength: 14 }), {
        minLength: columns,
        maxLength: columns,
      }),
      rows: fc.array(fc.array(cell, { minLength: columns, maxLength: columns }), { maxLength: 5 }),
      keys: fc.integer({ min: 1, max: 3 }),
      width: fc.integer({ min: 40, max: 120 }),
    }),
  );
  const letters = (text: string): string => [...text.replaceAll(/\s/g, '')].sort().join('');
  fc.assert(
    fc.property(tables, ({ headings, rows, keys, width }) => {
      const text = textTable(headings, rows, { width, keys });
      t.ok(text.split('\n').every((line) => stringWidth(line) <= width));
      const whole = textTable(headings, rows, { width: Number.POSITIVE_INFINITY, keys });
      const shown = letters(text);
      for (const letter of new Set(letters(whole))) {
        const count = (of: string): number => of.split(letter).length - 1;
        if (count(shown) < count(letters(whole))) return false;
      }
      return true;
    }),
  );
});

t.test('a text is folded between words, or where there are none, anywhere', async (t) => {
  t.equal(foldedText('as it is', 80), 'as it is');
  t.equal(foldedText('one two three four', 9), 'one two\n  three\n  four');
  t.equal(foldedText('abcdefghij', 6), 'abcdef\n  ghij');
});

t.test('a character that takes two columns counts as two', async (t) => {
  t.equal(
    textTable(
      ['STREAM', 'TO'],
      [
        ['電力', 'aws'],
        ['alarms', '東京'],
      ],
      { width: 80 },
    ),
    ['STREAM  TO', '電力    aws', 'alarms  東京'].join('\n'),
  );
  t.equal(foldedText('東京東京京', 7), '東京東\n  京京', 'none is cut in two');
});

t.test('no text moves the cursor or turns the line: C0, C1, bidi controls, Unicode separators', async (t) => {
  const hostile = 'a\u001b[2Jb\u009b31mc\u202ed\u2066e\u2028f\u061cg';
  const acting = /[^\P{Cc}\n]|[\p{Bidi_Control}\u2028\u2029]/u;
  t.notMatch(textTable(['H'], [[hostile]], { width: 80 }), acting);
  t.notMatch(foldedText(hostile, 10), acting);
  t.equal(printableLines('a\tb\nc\u0085d'), 'a\tb\nc d');
});
