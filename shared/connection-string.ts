/** The parts of an Azure connection string, `Name=value;…`, of a device or of a hub's policy. */
export function connectionStringParts(text: string): Map<string, string> {
  return new Map(
    text.split(';').map((part) => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)]),
  );
}
