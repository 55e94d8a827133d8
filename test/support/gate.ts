import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { freePort } from "../../local/ports.ts";

/** A TCP proxy to a database. While it is closed, its clients find the server away. */
export interface Gate {
  /** The database's URL through this proxy. */
  url: string;
  open(): Promise<void>;
  /** Also cuts open connections. */
  close(): Promise<void>;
  /** Holds all bytes: connections stay open, and nothing answers until `resume`. */
  stall(): void;
  resume(): void;
}

/** A gate that is still closed. */
export async function gateTo(databaseUrl: string): Promise<Gate> {
  const url = new URL(databaseUrl);
  const target = { host: url.hostname, port: Number(url.port) };
  url.host = `127.0.0.1:${await freePort()}`;
  const links = new Set<Socket>();
  let isStalled = false;
  const server = createServer((socket) => {
    const upstream = connect(target);
    for (const link of [socket, upstream]) {
      links.add(link.on("error", () => {}).on("close", () => links.delete(link)));
      link.on("data", (bytes) => (link === socket ? upstream : socket).write(bytes));
      link.on("end", () => (link === socket ? upstream : socket).end());
      if (isStalled) link.pause();
    }
  });
  return {
    url: url.href,
    async open() {
      server.listen(Number(url.port), "127.0.0.1");
      await once(server, "listening");
    },
    stall() {
      isStalled = true;
      for (const link of links) link.pause();
    },
    resume() {
      isStalled = false;
      for (const link of links) link.resume();
    },
    async close() {
      if (!server.listening) return;
      const closed = once(server, "close");
      server.close();
      for (const link of links) link.destroy();
      await closed;
    },
  };
}
