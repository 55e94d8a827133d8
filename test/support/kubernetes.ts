/** The objects of k8s/, as tests read them: from the rendered files, without kubectl. */
import { readFileSync } from "node:fs";
import { Ajv } from "ajv";
import { parseAllDocuments } from "yaml";
import { type Config, loadConfig, type ServiceName } from "../../core/config.ts";
import type { Schemas } from "../../scripts/kubernetes/schemas.ts";

interface Reference {
  name: string;
  key: string;
  optional?: boolean;
}
interface Container {
  image: string;
  command?: string[];
  env?: { name: string; value?: string; valueFrom?: Record<string, Reference> }[];
  envFrom?: { configMapRef: { name: string } }[];
  ports?: { name: string; containerPort: number }[];
  lifecycle?: { preStop: { sleep?: { seconds: number } } };
  resources: { requests: Record<string, string>; limits: Record<string, string> };
  securityContext: object;
  volumeMounts?: { mountPath: string; readOnly?: boolean }[];
  [probe: `${string}Probe`]: { httpGet: { path: string; port: string } };
}
interface PodSpec {
  containers: [Container];
  automountServiceAccountToken: boolean;
  enableServiceLinks: boolean;
  terminationGracePeriodSeconds: number;
  securityContext: object;
}
export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  data: Record<string, string>;
  spec: {
    template: { metadata: { labels: Record<string, string> }; spec: PodSpec };
    [name: string]: unknown;
  };
}

export const read = (path: string): string => readFileSync(path, "utf8");
export const objectsOf = (path: string): KubernetesObject[] =>
  parseAllDocuments(read(path)).map((document) => document.toJS() as KubernetesObject);

export const OVERLAYS = ["dev", "prod"] as const;
type Overlay = (typeof OVERLAYS)[number];
export const objects = {
  dev: objectsOf("k8s/rendered/dev.yaml"),
  prod: objectsOf("k8s/rendered/prod.yaml"),
  "prod-migrate": objectsOf("k8s/rendered/prod-migrate.yaml"),
};
export const ofKind = (of: KubernetesObject[], kind: string): KubernetesObject[] =>
  of.filter((object) => object.kind === kind);
export const podOf = ({ spec }: KubernetesObject): PodSpec => spec.template.spec;
export const containerOf = (object: KubernetesObject): Container => podOf(object).containers[0];
/** The Deployments of our image, by their service. */
export const nodesOf = (overlay: Overlay): [service: ServiceName, node: KubernetesObject][] =>
  ofKind(objects[overlay], "Deployment")
    .filter((object) => object.spec.template.metadata.labels["app.kubernetes.io/name"] === "taskwire")
    .map((object) => [object.metadata.name as ServiceName, object]);

/** Secrets of a form that the program takes. */
const SECRET_VALUES: Record<string, string> = {
  DATABASE_URL: "postgres://taskwire:of-my-own@db/taskwire",
  NATS_URL: "nats://taskwire:of-my-own@nats:4222",
  REDIS_URL: "redis://:of-my-own@redis:6379",
  JWT_SECRET: "of-my-own-".repeat(4),
  JWT_SECRET_PREVIOUS: "of-my-past-".repeat(4),
  METRICS_TOKEN: "for-prometheus-".repeat(3),
  ADMIN_EMAIL: "admin@example.com",
  ADMIN_PASSWORD: "correct horse battery",
  SMTP_URL: "smtp://mail.example.com:587",
  SENTRY_DSN: "https://key@sentry.example.com/1",
};

/** The environment that the kubelet would make: settings first, then the container's own, with secrets filled in. */
export function environmentOf(overlay: Overlay, node: KubernetesObject): Record<string, string> {
  const { env = [], envFrom = [] } = containerOf(node);
  const settings = envFrom.map(({ configMapRef: { name } }) => {
    const map = ofKind(objects[overlay], "ConfigMap").find(({ metadata }) => metadata.name === name);
    return map?.data ?? {};
  });
  const own = env.map(({ name, value, valueFrom }) => [
    name,
    value ?? (valueFrom?.fieldRef === undefined ? SECRET_VALUES[name] : `${node.metadata.name}-0`),
  ]);
  return Object.assign({}, ...settings, Object.fromEntries(own)) as Record<string, string>;
}
export const configOf = (overlay: Overlay, node: KubernetesObject): Config =>
  loadConfig(environmentOf(overlay, node));

const { kinds, definitions } = JSON.parse(read("k8s/schemas.json")) as Schemas;
const ajv = new Ajv({ strict: false, allErrors: true }).addSchema({ $id: "kubernetes", definitions });

/** What is wrong with an object, by the schema of its kind. */
export function faultsOf(object: KubernetesObject): string[] {
  const { apiVersion, kind, metadata } = object;
  const definition = kinds[`${apiVersion}/${kind}`];
  if (definition === undefined) return [`${apiVersion}/${kind} has no schema`];
  const validate = ajv.getSchema(`kubernetes#/definitions/${definition}`);
  if (validate?.(object) === true) return [];
  return (validate?.errors ?? []).map(
    ({ instancePath, message, params }) =>
      `${kind} ${metadata.name}${instancePath} ${message} ${JSON.stringify(params)}`,
  );
}
