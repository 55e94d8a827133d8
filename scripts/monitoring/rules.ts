/** The rules of monitoring/alerts.yml. */
import { parse, stringify } from "yaml";

export interface AlertRule {
  alert: string;
  expr: string;
  /** How long it has to hold before the alert fires, such as `2m`. */
  for: string;
  labels: { severity: string };
  annotations: { summary: string; description: string; runbook_url: string };
}

export interface RecordingRule {
  record: string;
  expr: string;
}

export type Rule = AlertRule | RecordingRule;

interface Groups {
  groups: { name: string; rules: Rule[] }[];
}

const isAlert = (rule: Rule): rule is AlertRule => "alert" in rule;

/** All rules of a file of rules, in their order. @param text its YAML */
export const rulesOf = (text: string): Rule[] => (parse(text) as Groups).groups.flatMap(({ rules }) => rules);

/** The alerts among rules. */
export const alertsOf = (rules: readonly Rule[]): AlertRule[] => rules.filter(isAlert);

/** The recorded figures among rules. */
export const recordsOf = (rules: readonly Rule[]): RecordingRule[] =>
  rules.filter((rule): rule is RecordingRule => !isAlert(rule));

const SECONDS = { s: 1, m: 60, h: 3600 } as const;

/** The seconds of a duration of one unit, such as `2m`. */
export const secondsOf = (duration: string): number =>
  parseInt(duration, 10) * SECONDS[duration.at(-1) as keyof typeof SECONDS];

/** A duration, divided, in whole seconds, and no shorter than `least` seconds. */
export const shorter = (duration: string, factor: number, least = 1): string =>
  `${Math.max(least, Math.round(secondsOf(duration) / factor))}s`;

/**
 * The same rules in a hurry: each `for` and each range such as `[5m]` is shorter by a factor, so that an outage of seconds
 * is what one of minutes is to the real rules. What is compared with what stays.
 * @param text the YAML of the rules
 * @param leastRange seconds; a rate needs two scrapes at least
 * @returns YAML
 */
export function hastened(text: string, factor: number, leastRange: number): string {
  const { groups } = parse(text) as Groups;
  for (const rule of groups.flatMap(({ rules }) => rules)) {
    rule.expr = rule.expr.replaceAll(
      /\[(\d+[smh])\]/g,
      (_, range: string) => `[${shorter(range, factor, leastRange)}]`,
    );
    if (isAlert(rule)) rule.for = shorter(rule.for, factor);
  }
  return stringify({ groups });
}
