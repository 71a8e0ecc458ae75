/**
 * `--import` of the counter-proof: the buffer's connection is set to NORMAL as soon as agent/store has read
 * FULL back.
 */
import Database from 'better-sqlite3';

const pragma = Database.prototype.pragma;
Object.defineProperty(Database.prototype, 'pragma', {
  value(this: Database.Database, source: string, options?: Database.PragmaOptions) {
    const answer: unknown = pragma.call(this, source, options);
    if (source === 'synchronous') pragma.call(this, 'synchronous = NORMAL');
    return answer;
  },
});
