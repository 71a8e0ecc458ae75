/**
 * The command line of a script that developers run: `--help` prints what it does, its options with their
 * defaults, and an example, and ends with 0; anything it does not know ends with 2 and is named.
 */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { errorText } from '../shared/log.ts';

export interface Option {
  /** The name of its value; a flag has none. */
  takes?: string;
  default?: string;
  is: string;
}

type Options = Readonly<Record<string, Option>>;

export interface Script<Own extends Options = Options> {
  /** `npm run crash`. */
  command: string;
  /** The name of an argument without a flag, where it takes one. */
  argument?: string;
  does: string;
  options: Own;
  /** Arguments of a run; empty for none. */
  example: string;
}

export type Values<Own extends Options> = {
  [Name in keyof Own]: Own[Name] extends { takes: string }
    ? Own[Name] extends { default: string }
      ? string
      : string | undefined
    : boolean;
};

const EXIT_USAGE = 2;
const UINT32_MAX = 2 ** 32 - 1;
const HELP = { is: 'prints this' };

/**
 * The result of `read` for the given values; an error that it throws is the user's mistake. Ends the process
 * where there is nothing to run.
 */
export function readScript<const Own extends Options, Read>(
  script: Script<Own>,
  read: (values: Values<Own>, positionals: readonly string[]) => Read,
): Read {
  try {
    const allowPositionals = script.argument !== undefined;
    const { values, positionals } = parseArgs({ allowPositionals, options: parsed(script.options) });
    if (values['help'] === true) {
      console.log(usage(script));
      process.exit(0);
    }
    // By the types of its options: text where one takes a value, a flag elsewhere.
    return read(values as Values<Own>, positionals);
  } catch (error) {
    console.error(`${script.command}: ${errorText(error)}\n\n${usage(script)}`);
    process.exit(EXIT_USAGE);
  }
}

function usage({ command, argument, does, options, example }: Script): string {
  const all = Object.entries<Option>({ ...options, help: HELP });
  const names = all.map(([name, { takes }]) => `--${name}${takes === undefined ? '' : ` ${takes}`}`);
  const width = Math.max(...names.map(({ length }) => length));
  const lines = all.map(([, { is, default: otherwise }], i) => {
    const ending = otherwise === undefined ? '' : ` (default: ${otherwise})`;
    return `  ${(names[i] ?? '').padEnd(width)}  ${is}${ending}`;
  });
  const head = `${command} -- ${argument === undefined ? '' : `${argument} `}[options]`;
  const run = example === '' ? command : `${command} -- ${example}`;
  return [head, does, '', ...lines, '', `for example: ${run}`].join('\n');
}

/** A whole number of 32 bits. */
export function whole(name: string, text: string | undefined, min: number): number {
  const value = /^\d{1,10}$/.test(text ?? '') ? Number(text) : Number.NaN;
  if (value >= min && value <= UINT32_MAX) return value;
  throw new Error(`${name} must be a whole number from ${min} to ${UINT32_MAX}`);
}

function parsed(options: Options): ParseArgsOptionsConfig {
  const given = Object.entries(options).map(([name, { takes, default: otherwise }]) =>
    takes === undefined
      ? ([name, { type: 'boolean', default: false }] as const)
      : ([name, { type: 'string', ...(otherwise === undefined ? {} : { default: otherwise }) }] as const),
  );
  return { ...Object.fromEntries(given), help: { type: 'boolean' } };
}
