/** The setup of pino: one event name per fact, ids as fields, secrets redacted, level per component. */
import { type Logger as PinoLogger, pino } from 'pino';

export { errorText } from './error-text.ts';

export type Logger = PinoLogger;
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

export interface LogOptions {
  level: LogLevel;
  /** Levels of single components, by name. */
  levels: Record<string, LogLevel>;
}

const SECRET_FIELDS = [
  'password',
  'secret',
  'token',
  'authorization',
  'connectionString',
  'connection_string',
  'privateKey',
  'private_key',
  'secretAccessKey',
  'secret_access_key',
  'sharedAccessKey',
  'credentials',
];

/**
 * The root logger: JSON lines on stdout, or to `destination`. Call it as `log.info({ event: 'routing.switch',
 * … })`; the event names the fact, the other fields its subject.
 */
export function createLogger(options: LogOptions, destination?: { write(line: string): void }): Logger {
  const settings = {
    level: options.level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: {
      paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
      censor: '[redacted]',
    },
  };
  return destination ? pino(settings, destination) : pino(settings);
}

/** A child logger for one component, at its own level where configured. */
export function componentLogger(root: Logger, component: string, options: LogOptions): Logger {
  return root.child({ component }, { level: options.levels[component] ?? options.level });
}
