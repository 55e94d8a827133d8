/** What variables must not say together, in one line each: what to set. */
import { DEVELOPMENT_SECRET, SECRET_READERS, SERVICES, type Values } from "./variables.ts";

type Check = readonly [isWrong: boolean, line: string];

function everywhere(values: Values): Check[] {
  const { SERVICES: services, OPS_PORT, PORT, NOTIFIER_PORT, JWT_SECRET, JWT_SECRET_PREVIOUS } = values;
  const hasGateway = services.includes("api-gateway");
  const hasNotifierAlone = services.includes("notifier") && !hasGateway;
  return [
    [
      (values.ADMIN_EMAIL === "") !== (values.ADMIN_PASSWORD === ""),
      "ADMIN_EMAIL, ADMIN_PASSWORD: set both or none",
    ],
    [
      values.BCRYPT_COST < 10 && values.NODE_ENV !== "test",
      "BCRYPT_COST: below 10 is for tests (NODE_ENV=test)",
    ],
    [
      values.REFRESH_TOKEN_TTL < values.ACCESS_TOKEN_TTL,
      "REFRESH_TOKEN_TTL: must not be shorter than ACCESS_TOKEN_TTL",
    ],
    [
      JWT_SECRET_PREVIOUS !== "" && JWT_SECRET_PREVIOUS === JWT_SECRET,
      "JWT_SECRET_PREVIOUS: is JWT_SECRET itself, leave it out",
    ],
    [OPS_PORT !== 0 && hasGateway && OPS_PORT === PORT, "OPS_PORT: is PORT, set it to another one"],
    [
      OPS_PORT !== 0 && hasNotifierAlone && OPS_PORT === NOTIFIER_PORT,
      "OPS_PORT: is NOTIFIER_PORT, set it to another one",
    ],
  ];
}

/** @param isSet whether the environment names a variable, whose default leads nowhere outside of this machine */
function inProduction(values: Values, isSet: (name: string) => boolean): Check[] {
  const sendsMails = values.SMTP_URL !== "";
  const knowsTokens = SECRET_READERS.JWT_SECRET.some((service) => values.SERVICES.includes(service));
  return [
    [values.DATABASE_URL === "", "DATABASE_URL: set it, production has no embedded Postgres"],
    [
      values.JWT_SECRET === DEVELOPMENT_SECRET || (knowsTokens && values.JWT_SECRET === ""),
      "JWT_SECRET: set a secret of your own, for example by `openssl rand -base64 48`",
    ],
    [
      values.JWT_SECRET_PREVIOUS === DEVELOPMENT_SECRET,
      "JWT_SECRET_PREVIOUS: everybody knows the development secret, leave it out",
    ],
    [sendsMails && !isSet("MAIL_FROM"), "MAIL_FROM: set the sender of mails"],
    [sendsMails && !isSet("APP_URL"), "APP_URL: set where the links in mails lead"],
    [values.RATE_LIMIT === "off", "RATE_LIMIT: off is for load tests"],
    [
      values.SERVICES.length < SERVICES.length && values.NATS_URL === "",
      "NATS_URL: set it, this node runs only some of the services",
    ],
  ];
}

/** @returns a line for each contradiction */
export function contradictionsIn(values: Values, isSet: (name: string) => boolean): string[] {
  const production = values.NODE_ENV === "production";
  const checks = [...everywhere(values), ...(production ? inProduction(values, isSet) : [])];
  return checks.filter(([isWrong]) => isWrong).map(([, line]) => line);
}
