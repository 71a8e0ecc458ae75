/** What this ledger's engine does not do, however often it is asked. */

export class NotSupported extends Error {
  constructor(engine: string, what: string) {
    super(`a ledger of type ${engine} does not support ${what}`);
    this.name = 'NotSupported';
  }
}
