/** What a page is (web-pages.ts serves them). */

export interface Page {
  type: string;
  content: string | Buffer;
  /** Directives of the Content-Security-Policy in addition to `default-src 'none'`. */
  policy?: string;
}

/**
 * @param origin URL of this server, for examples
 * @param hasDemo whether the demo's accounts are there to be offered; not unless said
 */
export type MakePage = (origin: string, hasDemo?: boolean) => Page | Promise<Page>;

export const HTML = "text/html; charset=utf-8";
export const TEXT = "text/plain; charset=utf-8";
export const SCRIPT = "text/javascript; charset=utf-8";
export const STYLE = "text/css; charset=utf-8";
export const JSON_TYPE = "application/json; charset=utf-8";
