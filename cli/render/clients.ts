/** `headgate clients`. */
import type { ClientStatus, ClientsAnswer } from '../../shared/admin-api/clients.ts';
import { countText, line, spanText, table } from '../format.ts';

export function renderClients({ clients, known, connected, takenOver }: ClientsAnswer): string {
  const shared =
    takenOver === 0 ? '' : `; ${countText(takenOver)} connections ended by another one with their client id`;
  const head = line(`${connected} connected of ${known} known${shared}`);
  if (clients.length === 0) return head;
  return `${head}\n\n${table(
    ['CLIENT', 'CONNECTED', 'SEEN', 'ADDRESS', 'PUBLISHED', 'RATE/S', 'TAKEN OVER', 'REFUSED'],
    clients.map((client) => [
      client.clientId || 'not told',
      client.connectedForMs === null ? 'no' : spanText(client.connectedForMs),
      `${spanText(client.lastSeenMs)} ago`,
      client.address || 'unknown',
      countText(client.published),
      client.ratePerSecond.toFixed(1),
      countText(client.takenOver),
      refusedText(client),
    ]),
  )}`;
}

/** The last reason first. */
function refusedText({ refused, lastRefusal }: ClientStatus): string {
  const reasons = Object.entries(refused).sort(
    ([a], [b]) => Number(b === lastRefusal) - Number(a === lastRefusal),
  );
  return reasons.map(([reason, count]) => `${countText(count)} ${reason}`).join(', ') || 'nothing';
}
