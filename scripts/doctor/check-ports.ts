import { explain } from "../../core/explain.ts";
import { originOf } from "../../core/origin.ts";
import { mustBeFree, portsOf } from "../../local/check-ports.ts";
import { check, CONNECT_MS } from "./findings.ts";

/** Whether a Taskwire listens there: then the port is taken by right. */
async function isTaskwire(url: string): Promise<boolean> {
  const response = await fetch(`${url}/live`, { signal: AbortSignal.timeout(CONNECT_MS) }).catch(() => null);
  void response?.body?.cancel();
  return response?.status === 200;
}

export const checkPorts = check("ports", async (config, say) => {
  for (const want of portsOf(config)) {
    const { variable, port } = want;
    try {
      await mustBeFree(config.HOST, [want]);
      say("ok", `${variable} ${port} is free`);
    } catch (error) {
      if (await isTaskwire(originOf(config.HOST, port)))
        say("ok", `${variable} ${port} has a Taskwire already`);
      else say("fail", explain(error));
    }
  }
});
