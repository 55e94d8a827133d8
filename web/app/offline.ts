/** Lets the page open without a network (worker.ts). */

/** What TypeScript's DOM does not know yet. */
interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL: (url: string) => string },
  ): {
    createScriptURL(url: string): string;
  };
}

const WORKER = "/app-worker.js";

/** Registers the service worker where the browser has them: on https, and on this machine itself. */
export function openOffline(): void {
  if (!("serviceWorker" in navigator)) return;
  const { trustedTypes } = window as { trustedTypes?: TrustedTypes };
  // The page's policy lets scripts of this name be named, and no other (services/api-gateway/browser-pages.ts).
  const policy = trustedTypes?.createPolicy("taskwire-worker", { createScriptURL: () => WORKER });
  const url = policy?.createScriptURL(WORKER) ?? WORKER;
  navigator.serviceWorker
    .register(url, { scope: "/app", updateViaCache: "none" })
    // The board works without it, as long as there is a network.
    .catch((error: unknown) => console.warn("This page will not open without a network:", error));
}
