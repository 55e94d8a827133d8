import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { documentConfig } from "../../core/config.ts";
import { ROUTES } from "../../services/api-gateway/routes.ts";

const root = new URL("../../", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), "utf8");
const readme = read("README.md");

test("the README's table of variables is the configuration's (else: npm run readme)", () => {
  expect(readme).toContain(documentConfig());
});

describe("the README's diagram of the services shows", () => {
  const services = readdirSync(new URL("services/", root), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  const sourcesOf = (directory: string): string[] =>
    readdirSync(new URL(directory, root), { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".ts"))
      .map((path) => read(directory + path));
  const sources = new Map(services.map((name) => [name, sourcesOf(`services/${name}/`).join("\n")]));
  const mixins = sourcesOf("mixins/");
  const everything = [...sources.values(), ...mixins].join("\n");

  /** What `name` in the code stands for: `export const users = remote<…>("users")`, the same for hints. */
  const declared = (kind: "remote" | "hint"): Map<string, string> =>
    new Map(
      [...everything.matchAll(new RegExp(`export const (\\w+) = ${kind}<[^=]*>\\("([\\w.-]+)"`, "g"))].map(
        ([, identifier, name]) => [identifier as string, name as string],
      ),
    );
  const remotes = declared("remote");
  const hints = declared("hint");

  /** The hints that some code sends, by itself. */
  const sentBy = (code: string): string[] =>
    [...code.matchAll(/\b(?:emit|broadcast)\(\s*[\w.]+,\s*(\w+)/g)].flatMap(
      ([, hint]) => hints.get(hint as string) ?? [],
    );
  /** Functions of the mixins that send hints for their callers. */
  const senders = new Map(
    mixins
      .flatMap((source) => source.split(/^(?=export )/m))
      .map(
        (part) =>
          [/^export (?:async )?(?:function|const) (\w+)/.exec(part)?.[1] ?? "", sentBy(part)] as const,
      )
      .filter(([name, sent]) => name !== "" && sent.length > 0),
  );

  const arrows = (pattern: RegExp): Set<string> => {
    const [, diagram = ""] =
      /```mermaid\n([\s\S]*?)```/.exec(readme.slice(readme.indexOf("## Architecture"))) ?? [];
    const names = (side: string): string[] => side.split("&").map((name) => name.trim());
    return new Set(
      diagram.split("\n").flatMap((line) => {
        const [, from = "", label, to = ""] = pattern.exec(line) ?? [];
        return names(from).flatMap((a) =>
          names(to)
            .filter((b) => services.includes(a) && services.includes(b))
            .map((b) => (label === undefined ? `${a} → ${b}` : `${a} → ${b}: ${label}`)),
        );
      }),
    );
  };

  test("each call from one service to another, and no other", () => {
    const routed = ROUTES.map(({ action }) => `api-gateway → ${action.split(".")[0] as string}`);
    const called = [...sources].flatMap(([from, code]) =>
      [...code.matchAll(/\b(\w+)\s*\.call\(/g)]
        .flatMap(([, identifier]) => remotes.get(identifier as string) ?? [])
        .filter((to) => to !== from)
        .map((to) => `${from} → ${to}`),
    );
    expect(called.length).toBeGreaterThan(20);
    expect(arrows(/^\s*([\w &-]+?) -->()? ([\w &-]+)$/)).toEqual(new Set([...routed, ...called]));
  });

  test("each hint from its sender to its listeners, and no other", () => {
    const sent = [...sources].flatMap(([from, code]) => {
      const through = [...senders]
        .filter(([name]) => new RegExp(`\\b${name}\\(`).test(code))
        .flatMap(([, hints]) => hints);
      return [...sentBy(code), ...through].map((hint) => ({ from, hint }));
    });
    const heard = [...sources].flatMap(([to, code]) =>
      [...code.matchAll(/\bon\((\w+),/g)].flatMap(([, identifier]) => {
        const hint = hints.get(identifier as string);
        return hint === undefined ? [] : [{ to, hint }];
      }),
    );
    const expected = sent.flatMap(({ from, hint }) =>
      heard.filter((listener) => listener.hint === hint).map(({ to }) => `${from} → ${to}: ${hint}`),
    );
    expect(new Set(sent.map(({ hint }) => hint))).toEqual(new Set(hints.values()));
    expect(arrows(/^\s*([\w &-]+?) -\.->\|([\w.]+)\| ([\w &-]+)$/)).toEqual(new Set(expected));
  });
});
