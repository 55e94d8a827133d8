import { Transporters } from "moleculer";

/** The parts of the NATS client that the transport uses. */
interface Client {
  readonly info?: { max_payload: number };
  isClosed(): boolean;
  isDraining(): boolean;
  publish(topic: string, data: Buffer): void;
  subscribe(
    topic: string,
    options: { callback(error: Error | null, message: { data: Uint8Array }): void },
  ): void;
}

/** What Moleculer says of a packet that it sends. */
interface Meta {
  readonly packet: { readonly type: string };
}

/**
 * Moleculer's transporter for NATS, with two costs less: the packets of one turn of the event loop leave in one write, where
 * the client would write each by itself, and a packet that arrives is not copied. The first hint of a turn does not wait for
 * the turn's other packets, such as the answer to the call that has committed.
 */
export class NatsTransport extends Transporters.NATS {
  /** The packets of this turn. */
  #packets: [topic: string, data: Buffer][] = [];
  /** Whether a hint of this turn has left. */
  #isHinted = false;
  #isScheduled = false;

  override async send(topic: string, data: Buffer, meta?: Meta): Promise<void> {
    const client = this.client as Client | null;
    if (client === null) return;
    // A packet that can't be sent fails the call that it belongs to: its turn is now.
    if (client.isClosed() || client.isDraining() || data.length > (client.info?.max_payload ?? 0)) {
      client.publish(topic, data);
      return;
    }
    this.#packets.push([topic, data]);
    this.#schedule(meta?.packet.type === "EVENT");
  }

  override async disconnect(): Promise<void> {
    this.#flush();
    await super.disconnect();
  }

  override async subscribe(cmd: string, nodeID?: string): Promise<void> {
    (this.client as Client).subscribe(this.getTopicName(cmd, nodeID), {
      callback: (_error, { data }) => {
        void this.receive(cmd, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
      },
    });
  }

  #schedule(isHint: boolean): void {
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(() => {
        [this.#isScheduled, this.#isHinted] = [false, false];
        this.#flush();
      });
    }
    if (!isHint || this.#isHinted) return;
    this.#isHinted = true;
    // The same hint to other nodes is sent in this very step.
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    const packets = this.#packets;
    this.#packets = [];
    try {
      for (const [topic, data] of packets) (this.client as Client | null)?.publish(topic, data);
    } catch (error) {
      // The connection has just ended: calls that wait fail when it is back, or at their timeout.
      this.logger.warn("packets were not sent", error);
    }
  }
}
