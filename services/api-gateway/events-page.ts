/** `/docs/events`: docs/asyncapi.json as a page for people. */
import { framed, type Part } from "./guide-pages.ts";
import { html, jsonBlock } from "./html.ts";
import type { Page } from "./page.ts";

interface Schema {
  $ref?: string;
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  format?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: Schema | boolean;
  anyOf?: Schema[];
}

interface Message {
  name: string;
  summary: string;
  description?: string;
  payload: Schema;
  examples: { payload: unknown }[];
}

interface Operation {
  action: "send" | "receive";
  messages: { $ref: string }[];
  reply?: { messages: { $ref: string }[] };
}

export interface EventsDocument {
  info: { description: string };
  operations: Record<string, Operation>;
  components: { messages: Record<string, Message>; schemas: Record<string, Schema> };
}

const titleOf = ({ $ref }: { $ref: string }): string => $ref.split("/").at(-1) as string;

/** A type in words: `string or null`, a link to a schema, `array of …`. */
function typeOf(schema: Schema): string {
  if (schema.$ref !== undefined) {
    const title = titleOf({ $ref: schema.$ref });
    return `<a href="#schema-${title}">${title}</a>`;
  }
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.const !== undefined) return html(`\`${JSON.stringify(schema.const)}\``);
  if (schema.enum !== undefined)
    return html(schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(", "));
  if (schema.items !== undefined) return `array of ${typeOf(schema.items)}`;
  if (typeof schema.additionalProperties === "object")
    return `object by name, each ${typeOf(schema.additionalProperties)}`;
  return html([[schema.type ?? "any"].flat().join(" or "), schema.format].filter(Boolean).join(", "));
}

function fields({ properties = {}, required = [] }: Schema): string {
  const rows = Object.entries(properties).map(
    ([name, schema]) =>
      `<tr><td><code>${html(name)}</code>${required.includes(name) ? "" : " (optional)"}</td><td>${typeOf(schema)}</td><td>${html(schema.description ?? "")}</td></tr>`,
  );
  return rows.length === 0
    ? ""
    : `<div class="table" tabindex="0"><table>\n${rows.join("\n")}\n</table></div>`;
}

function eventsBody({ info, operations, components }: EventsDocument): string {
  const { messages, schemas } = components;
  const resolve = (schema: Schema): Schema =>
    schema.$ref === undefined ? schema : (schemas[titleOf({ $ref: schema.$ref })] as Schema);
  const section = (name: string, answers: string[] = []): string => {
    const { summary, description, payload, examples } = messages[name] as Message;
    return `<h3 id="${name}"><code>${html(name)}</code></h3>
<p>${html(summary)}</p>
${description === undefined ? "" : `<p>${html(description)}</p>`}
${answers.length === 0 ? "" : `<p>Answered by ${answers.map((answer) => `<a href="#${answer}">${html(answer)}</a>`).join(" or ")}.</p>`}
${fields(resolve(payload))}
<details><summary>Example</summary>${jsonBlock(examples[0]?.payload)}</details>`;
  };
  const received = Object.values(operations).filter(({ action }) => action === "receive");
  const requests = received.flatMap(({ messages: asked, reply }) =>
    asked.map((message) => section(titleOf(message), reply?.messages.map(titleOf))),
  );
  const sent = (name: string): string[] => (operations[name]?.messages ?? []).map(titleOf);
  const answers = [...new Set(received.flatMap(({ reply }) => reply?.messages.map(titleOf) ?? []))].filter(
    (name) => !sent("frames").includes(name),
  );
  const list = (names: string[]): string =>
    `<ul>${names.map((name) => `<li><a href="#${name}"><code>${html(name)}</code></a> ${html(messages[name]?.summary ?? "")}</li>`).join("\n")}</ul>`;
  return `<h1>Events and frames</h1>
<p>${html(info.description)}</p>
<p>The same as data: <a href="/asyncapi.json">asyncapi.json</a> (AsyncAPI 3.0). More: <a href="/docs/client">Write your own client</a> · <a href="/guide">The guide</a> · <a href="/docs">The API</a></p>
<h2 id="events">Events</h2>
${list(sent("events"))}
<h2 id="frames">Frames</h2>
${list(sent("frames"))}
<h2 id="each-event">Each event</h2>
${sent("events")
  .map((name) => section(name))
  .join("\n")}
<h2 id="each-frame">Each frame</h2>
${sent("frames")
  .map((name) => section(name))
  .join("\n")}
<h2 id="what-a-client-sends">What a client sends</h2>
${requests.join("\n")}
<h2 id="answers">Answers</h2>
${answers.map((name) => section(name)).join("\n")}
<h2 id="schemas">Schemas</h2>
${Object.entries(schemas)
  .map(
    ([title, schema]) =>
      `<h3 id="schema-${title}">${html(title)}</h3>\n${schema.description === undefined ? "" : `<p>${html(schema.description)}</p>`}\n${fields(schema) || `<p>${typeOf(schema)}</p>`}`,
  )
  .join("\n")}`;
}

/** The page. */
export function eventsPage(document: EventsDocument): Page {
  const body = eventsBody(document);
  const parts = [...body.matchAll(/<h([23]) id="([\w-]+)">(?:<code>)?([^<]+)/g)].map(
    ([, depth, anchor, title]): Part => ({
      depth: Number(depth),
      anchor: anchor as string,
      title: title as string,
    }),
  );
  return framed("/docs/events", "Events and frames", body, parts);
}
