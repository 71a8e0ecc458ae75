/**
 * One envelope on its way to `copies` different providers: the same bytes, one provider after the other (or at once, for
 * more than one copy), until enough have accepted it or no other may take it now. What is not delivered goes back to the
 * buffer, where it waits; nothing here waits for a provider to recover.
 */
import type { OutboundEnvelope, Outcome } from '../cloud/publisher.ts';

export interface DeliveryPorts {
  /** Providers that may take the stream now, best first, none of `exclude` (I4 holds there). */
  candidates(stream: string, exclude: ReadonlySet<string>): string[];
  /** One try at one provider. */
  send(provider: string): Promise<Outcome>;
  /** Called at each acceptance, before the next step. */
  onAccepted(provider: string): void;
  onFailed(provider: string): void;
}

/** Resolves when enough providers hold it (true) or it goes back to the buffer (false). Never rejects. */
export async function deliver(
  message: OutboundEnvelope,
  copies: number,
  acceptedBefore: ReadonlySet<string>,
  ports: DeliveryPorts,
): Promise<boolean> {
  /** Providers not to ask (again): they hold it, are being asked, or just failed. */
  const asked = new Set(acceptedBefore);
  const flights = new Set<Promise<void>>();
  let accepted = acceptedBefore.size;

  const fly = async (provider: string): Promise<void> => {
    const outcome = await ports.send(provider);
    if (outcome.kind === 'accepted') {
      accepted += 1;
      ports.onAccepted(provider);
    } else {
      ports.onFailed(provider);
    }
  };

  while (accepted < copies) {
    const wanted = copies - accepted - flights.size;
    const targets = wanted > 0 ? ports.candidates(message.stream, asked).slice(0, wanted) : [];
    for (const provider of targets) {
      asked.add(provider);
      const flight: Promise<void> = fly(provider).finally(() => flights.delete(flight));
      flights.add(flight);
    }
    if (flights.size === 0) return false;
    await Promise.race(flights);
  }
  return true;
}
