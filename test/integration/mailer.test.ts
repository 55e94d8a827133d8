import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { ServiceBroker } from "moleculer";
import pg from "pg";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import type { Config } from "../../core/config.ts";
import { freePort } from "../../local/ports.ts";
import { until } from "../../local/until.ts";
import { brokerOptions } from "../../moleculer.config.ts";
import { mailer } from "../../services/mailer/mailer.contract.ts";
import mailerService from "../../services/mailer/mailer.service.ts";
import type { DeliveryOptions } from "../../services/mailer/delivery-options.ts";
import { calmNow } from "../support/calm-clock.ts";
import { freshDatabase } from "../support/database.ts";
import { gateTo } from "../support/gate.ts";
import { testConfig } from "../support/node.ts";

const SECRET_LINK = "https://app.example.com/verify?token=hush-hush";
const MAIL = {
  to: "ada@example.com",
  subject: "Verify your e-mail address",
  text: `Hello\n${SECRET_LINK}\n`,
};
const FAST: Partial<DeliveryOptions> = {
  socketTimeoutMs: 300,
  pollSeconds: 0.5,
  retryDelaySeconds: 1,
  maxRetryDelaySeconds: 0,
  graceMs: 1000,
};

interface Received {
  from: string;
  to: string[];
  message: string;
}

/** What must end after each test, the newest first. */
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A mail server on loopback that keeps what it takes. */
async function startSmtp(
  options: SMTPServerOptions = {},
  port = 0,
): Promise<{ url: string; mails: Received[] }> {
  const mails: Received[] = [];
  const server = new SMTPServer({
    disabledCommands: ["AUTH", "STARTTLS"],
    disableReverseLookup: true,
    closeTimeout: 100,
    onData(stream, { envelope }, done) {
      const from = envelope.mailFrom === false ? "" : envelope.mailFrom.address;
      const to = envelope.rcptTo.map(({ address }) => address);
      text(stream).then((message) => {
        mails.push({ from, to, message });
        done();
      }, done);
    },
    ...options,
  });
  server.on("error", () => {});
  server.listen(port, "127.0.0.1");
  await once(server.server, "listening");
  cleanups.push(() => new Promise<void>((resolve) => server.close(resolve)));
  return { url: `smtp://127.0.0.1:${(server.server.address() as AddressInfo).port}`, mails };
}

/** A server that takes connections and never says a word. */
async function startHanging(port = 0): Promise<{ url: string; sockets: Socket[]; stop(): Promise<void> }> {
  const sockets: Socket[] = [];
  const server: Server = createServer((socket) => sockets.push(socket.on("error", () => {})));
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const stop = async () => {
    if (!server.listening) return;
    const closed = once(server, "close");
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  cleanups.push(stop);
  return { url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets, stop };
}

let database: string;
let client: pg.Client;
beforeAll(async () => {
  database = await freshDatabase();
  client = new pg.Client({ connectionString: database });
  await client.connect();
});
afterAll(() => client.end());

interface Mailer {
  broker: ServiceBroker;
  /** Its warnings and errors, a line each. */
  log: string[];
  stop(): Promise<void>;
}

/** A node that runs the mailer alone. */
async function startMailer(
  overrides: Partial<Config>,
  options: Partial<DeliveryOptions> = {},
): Promise<Mailer> {
  const config = { ...testConfig(database), MAIL_FROM: "Taskwire <post@taskwire.example>", ...overrides };
  const broker = new ServiceBroker(brokerOptions(config, false));
  const service = broker.createService(mailerService(config, { ...FAST, ...options }));
  const log: string[] = [];
  const keep = (...args: unknown[]) => void log.push(args.map(String).join(" "));
  Object.assign(service.logger, { warn: keep, error: keep });
  await broker.start();
  let stopped: Promise<void> | undefined;
  const stop = () => (stopped ??= broker.stop());
  cleanups.push(stop);
  return { broker, log, stop };
}

/** Rows that the queue holds. */
async function queued(): Promise<number> {
  const { rows } = await client.query<{ count: number }>("SELECT count(*)::int AS count FROM jobs.job");
  return (rows[0] as { count: number }).count;
}

async function waitFor(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  if (!(await until(condition, 10_000))) throw new Error(`waited in vain for ${what}`);
}

describe("a mail", () => {
  test("arrives with sender, recipient, subject and text, and leaves nothing behind", async () => {
    const smtp = await startSmtp();
    const { broker } = await startMailer({ SMTP_URL: smtp.url });
    await mailer.call(broker, "send", MAIL);
    await waitFor(() => smtp.mails.length > 0, "the mail");
    expect(smtp.mails).toEqual([
      { from: "post@taskwire.example", to: [MAIL.to], message: expect.anything() },
    ]);
    const [headers, body] = (smtp.mails[0] as Received).message.split("\r\n\r\n") as [string, string];
    expect(headers).toMatch(/^From: Taskwire <post@taskwire.example>$/m);
    expect(headers).toMatch(/^To: ada@example.com$/m);
    expect(headers).toMatch(/^Subject: Verify your e-mail address$/m);
    expect(headers).toMatch(/^Message-ID: <[0-9a-f-]{36}@taskwire.example>$/im);
    expect(body.replaceAll("=\r\n", "").replaceAll("=3D", "=").replaceAll("\r\n", "\n")).toBe(MAIL.text);
    await waitFor(async () => (await queued()) === 0, "an empty queue");
  });

  test("goes out at once, without waiting for the next look into the queue", async () => {
    const smtp = await startSmtp();
    const { broker } = await startMailer({ SMTP_URL: smtp.url }, { pollSeconds: 60 });
    const people = ["a@example.com", "b@example.com", "c@example.com"];
    for (const to of people) await mailer.call(broker, "send", { ...MAIL, to });
    await waitFor(() => smtp.mails.length >= 3, "three mails");
    expect(smtp.mails.flatMap(({ to }) => to).sort()).toEqual(people);
    await waitFor(async () => (await queued()) === 0, "an empty queue");
  });

  test.each([
    ["two recipients", { to: "ada@example.com,eve@example.com" }],
    ["a recipient that turns the direction of text", { to: "ada\u202e@example.com" }],
    ["a subject of two lines", { subject: "Hello\r\nBcc: eve@example.com" }],
    ["text that Postgres can't hold", { text: "a\0b" }],
  ])("with %s is refused", async (_what, wrong) => {
    const { broker } = await startMailer({ SMTP_URL: "" });
    await expect(mailer.call(broker, "send", { ...MAIL, ...wrong })).rejects.toMatchObject({
      type: "VALIDATION_ERROR",
    });
  });
});

describe("an SMTP server", () => {
  test("that refuses at first and accepts later gets the mail once", async () => {
    let refusals = 0;
    const smtp = await startSmtp({
      onMailFrom(_address, _session, done) {
        if (refusals++ < 2) done(Object.assign(new Error(`busy ${SECRET_LINK}`), { responseCode: 451 }));
        else done();
      },
    });
    const { broker, log } = await startMailer({ SMTP_URL: smtp.url });
    await mailer.call(broker, "send", MAIL);
    await waitFor(async () => smtp.mails.length > 0 && (await queued()) === 0, "the mail");
    expect(smtp.mails).toHaveLength(1);
    expect(log).toEqual([
      expect.stringMatching(/^mail [0-9a-f-]{36} was not sent and is tried again: \w+ MAIL FROM 451$/),
      expect.stringMatching(/tried again/),
    ]);
  });

  test("that refuses the recipient for good is not asked again", async () => {
    let asked = 0;
    const smtp = await startSmtp({
      onRcptTo(_address, _session, done) {
        asked += 1;
        done(Object.assign(new Error("no such mailbox"), { responseCode: 550 }));
      },
    });
    const { broker, log } = await startMailer({ SMTP_URL: smtp.url });
    await mailer.call(broker, "send", MAIL);
    await waitFor(async () => asked > 0 && (await queued()) === 0, "an empty queue");
    expect(asked).toBe(1);
    expect(log).toEqual([expect.stringMatching(/dropped after 1 attempts: EENVELOPE RCPT TO 550$/)]);
  });

  test("that hangs is given up on, and the mail sent when it answers", async () => {
    const hanging = await startHanging();
    const { broker, log } = await startMailer({ SMTP_URL: hanging.url });
    await mailer.call(broker, "send", MAIL);
    await waitFor(() => log.some((line) => line.includes("tried again")), "a timeout");
    expect(hanging.sockets.length).toBeGreaterThan(0);
    await hanging.stop();
    const smtp = await startSmtp({}, Number(new URL(hanging.url).port));
    await waitFor(async () => smtp.mails.length > 0 && (await queued()) === 0, "the mail");
    expect(smtp.mails).toHaveLength(1);
  });

  test("that never takes a mail is left alone in the end, and the mail's text goes", async () => {
    const { broker, log } = await startMailer(
      { SMTP_URL: `smtp://ada:hush-hush@127.0.0.1:${await freePort()}` },
      { retryLimit: 1 },
    );
    await mailer.call(broker, "send", MAIL);
    await waitFor(() => log.some((line) => line.includes("dropped after 2 attempts")), "the last attempt");
    await waitFor(async () => (await queued()) === 0, "an empty queue");
    expect(log.join("\n")).not.toMatch(/hush/);
  });
});

describe("a mailer that stops", () => {
  test("while the SMTP server is down leaves the mail to the next one", async () => {
    const port = await freePort();
    const SMTP_URL = `smtp://127.0.0.1:${port}`;
    const first = await startMailer({ SMTP_URL });
    await mailer.call(first.broker, "send", MAIL);
    await first.stop();
    expect(await queued()).toBe(1);
    const smtp = await startSmtp({}, port);
    await startMailer({ SMTP_URL });
    await waitFor(async () => smtp.mails.length > 0 && (await queued()) === 0, "the mail");
    expect(smtp.mails).toHaveLength(1);
  });

  test("in the middle of an attempt cuts it off within its grace, and the next one makes it again", async () => {
    const hanging = await startHanging();
    const first = await startMailer(
      { SMTP_URL: hanging.url },
      { socketTimeoutMs: 60_000, attemptTimeoutMs: 60_000 },
    );
    await mailer.call(first.broker, "send", MAIL);
    await waitFor(() => hanging.sockets.length > 0, "an attempt");
    const since = calmNow();
    await first.stop();
    expect(calmNow() - since).toBeLessThan(4000);
    await hanging.stop();
    const smtp = await startSmtp({}, Number(new URL(hanging.url).port));
    await startMailer({ SMTP_URL: hanging.url });
    await waitFor(async () => smtp.mails.length > 0 && (await queued()) === 0, "the mail");
    expect(smtp.mails).toHaveLength(1);
  });
});

describe("several mailers", () => {
  test("start on an empty database at once and send each mail once, over two connections each", async () => {
    const DATABASE_URL = await freshDatabase();
    const smtp = await startSmtp();
    const nodes = await Promise.all(
      ["one", "two", "three"].map((NODE_ID) =>
        // On a busy machine three nodes and their pools may take longer than the other tests' timeout.
        startMailer({ DATABASE_URL, NODE_ID, SMTP_URL: smtp.url }, { socketTimeoutMs: 10_000 }),
      ),
    );
    const to = Array.from({ length: 30 }, (_, n) => `user${n}@example.com`);
    await Promise.all(
      to.map((address, n) => mailer.call((nodes[n % 3] as Mailer).broker, "send", { ...MAIL, to: address })),
    );
    const { rows } = await client.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = $1 GROUP BY application_name`,
      [new URL(DATABASE_URL).pathname.slice(1)],
    );
    expect(rows).toHaveLength(3);
    for (const { count } of rows) expect(count).toBeLessThanOrEqual(2);
    await waitFor(() => smtp.mails.length >= 30, "thirty mails");
    for (const node of nodes) await node.stop();
    expect(smtp.mails.map((mail) => mail.to[0]).sort()).toEqual(to.sort());
    expect(nodes.flatMap(({ log }) => log)).toEqual([]);
  });
});

describe("without Postgres", () => {
  test("a mailer starts and stops, refuses mails, and takes them once Postgres is there", async () => {
    const smtp = await startSmtp();
    const gate = await gateTo(await freshDatabase());
    const node = await startMailer({ DATABASE_URL: gate.url, SMTP_URL: smtp.url });
    const { broker, log } = node;
    await expect(mailer.call(broker, "send", MAIL)).rejects.toMatchObject({ type: "database-unavailable" });

    await gate.open();
    cleanups.unshift(() => gate.close());
    const sent = () =>
      mailer.call(broker, "send", MAIL).then(
        () => true,
        () => false,
      );
    await waitFor(sent, "a mail that is taken");
    await waitFor(() => smtp.mails.length > 0, "the mail");

    await gate.close();
    await expect(mailer.call(broker, "send", MAIL)).rejects.toMatchObject({ type: "database-unavailable" });
    const since = calmNow();
    await node.stop();
    expect(calmNow() - since).toBeLessThan(5000);
    expect(log.length).toBeLessThanOrEqual(2);
  });
});

describe("without SMTP_URL", () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  /** What goes to the terminal meanwhile. */
  function terminal(): string[] {
    const written: string[] = [];
    jest.spyOn(process.stdout, "write").mockImplementation((chunk) => written.push(String(chunk)) > 0);
    return written;
  }

  test("development shows the mail on the terminal, link and all", async () => {
    const { broker, log } = await startMailer({ NODE_ENV: "development" });
    const written = terminal();
    await mailer.call(broker, "send", MAIL);
    expect(written.join("")).toBe(
      [
        "",
        "  Mail to ada@example.com (shown here, since SMTP_URL is not set)",
        "  Subject: Verify your e-mail address",
        "",
        "  Hello",
        `  ${SECRET_LINK}`,
        "",
        "",
        "",
      ].join("\n"),
    );
    expect(log).toEqual([]);
  });

  test("development writes control characters out, in place of letting the terminal act on them", async () => {
    const { broker } = await startMailer({ NODE_ENV: "development" });
    const written = terminal();
    await mailer.call(broker, "send", { ...MAIL, text: "Hello \u001b[2J\nAda\u202e" });
    expect(written.join("")).toContain("\n  Hello \\u{1b}[2J\n  Ada\\u{202e}\n");
  });

  test("production says at start that mail is off, and drops it without its text", async () => {
    const { broker, log } = await startMailer({ NODE_ENV: "production", production: true });
    const written = terminal();
    expect(log).toEqual([expect.stringMatching(/^mail is switched off: .*SMTP_URL/)]);
    await mailer.call(broker, "send", MAIL);
    expect(written).toEqual([]);
    expect(log).toHaveLength(2);
    expect(log.join("\n")).not.toMatch(/hush|ada@/);
  });
});
