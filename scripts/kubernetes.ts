/** `npm run k8s`: writes k8s/rendered, what kustomize makes of k8s/. Needs kubectl. */
import { explain } from "../core/explain.ts";
import { mustHave } from "./containers/commands.ts";
import { writeRendered } from "./kubernetes/render.ts";

try {
  mustHave("kubectl");
  for (const path of await writeRendered()) console.log(path);
} catch (error) {
  console.error(explain(error));
  process.exitCode = 1;
}
