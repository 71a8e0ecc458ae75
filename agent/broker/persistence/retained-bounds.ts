/**
 * Counts the retained messages and their bytes, in total and by the device that published each, against their
 * limits (I10). A message without a known publisher counts in the total alone.
 */
export interface RetainedLimits {
  maxRetainedMessages: number;
  maxRetainedBytes: number;
  maxRetainedMessagesPerDevice: number;
  maxRetainedBytesPerDevice: number;
}

interface Use {
  messages: number;
  bytes: number;
}

export class RetainedBounds {
  readonly #limits: RetainedLimits;
  readonly #byTopic = new Map<string, { bytes: number; device: string | undefined }>();
  readonly #byDevice = new Map<string, Use>();
  #bytes = 0;

  constructor(limits: RetainedLimits) {
    this.#limits = limits;
  }

  /** Retained messages. */
  get size(): number {
    return this.#byTopic.size;
  }

  /** Whether the message of so many bytes may take the place of the one on its topic, if any. */
  hasRoomFor(topic: string, bytes: number, device: string | undefined): boolean {
    const limits = this.#limits;
    const before = this.#byTopic.get(topic);
    const isNew = before === undefined ? 1 : 0;
    if (this.#byTopic.size + isNew > limits.maxRetainedMessages) return false;
    if (this.#bytes - (before?.bytes ?? 0) + bytes > limits.maxRetainedBytes) return false;
    if (device === undefined) return true;
    const own = this.#byDevice.get(device) ?? { messages: 0, bytes: 0 };
    const isOwn = before?.device === device;
    return (
      own.messages + (isOwn ? 0 : 1) <= limits.maxRetainedMessagesPerDevice &&
      own.bytes - (isOwn ? before.bytes : 0) + bytes <= limits.maxRetainedBytesPerDevice
    );
  }

  /** The topic now has a message of so many bytes; none for 0. */
  set(topic: string, bytes: number, device: string | undefined): void {
    const before = this.#byTopic.get(topic);
    if (before) this.#add(before.device, -1, -before.bytes);
    if (bytes === 0) this.#byTopic.delete(topic);
    else {
      this.#byTopic.set(topic, { bytes, device });
      this.#add(device, 1, bytes);
    }
  }

  #add(device: string | undefined, messages: number, bytes: number): void {
    this.#bytes += bytes;
    if (device === undefined) return;
    const own = this.#byDevice.get(device) ?? { messages: 0, bytes: 0 };
    own.messages += messages;
    own.bytes += bytes;
    if (own.messages > 0) this.#byDevice.set(device, own);
    else this.#byDevice.delete(device);
  }
}
