/** The pages of the guide, in the order of its menu (guide-pages.ts makes them). */
import { existsSync } from "node:fs";

export interface GuidePage {
  /** `/guide/<slug>`; the first page is at `/guide` itself. */
  slug: string;
  title: string;
  /** Below the repository: Markdown, or a program that the page shows as it is. */
  file: string;
}

export interface GuideGroup {
  name: string;
  /** How much its parts count in the search: 1, or less for what few people look for. */
  weight: number;
  pages: readonly GuidePage[];
  /** Pages of the server beside the guide. */
  links: readonly { title: string; path: string }[];
}

const ALL: readonly GuideGroup[] = [
  {
    name: "Build on it",
    weight: 1,
    pages: [
      { slug: "", title: "Start", file: "docs/guide.md" },
      { slug: "rest", title: "REST", file: "docs/rest.md" },
      { slug: "realtime", title: "Realtime", file: "docs/realtime.md" },
      { slug: "sdk", title: "SDK for TypeScript", file: "client/README.md" },
      {
        slug: "how-it-stays-right",
        title: "How a client stays right",
        file: "client/docs/how-it-stays-right.md",
      },
      { slug: "write-a-client", title: "Write your own client", file: "docs/write-a-client.md" },
    ],
    links: [],
  },
  {
    name: "Examples",
    weight: 0.8,
    pages: [
      { slug: "example-terminal", title: "A board in a terminal", file: "client/examples/board.ts" },
      { slug: "example-page", title: "A board in a page", file: "client/examples/board.html" },
      { slug: "example-worker", title: "A worker that claims tasks", file: "client/examples/worker.ts" },
    ],
    links: [],
  },
  {
    name: "Look it up",
    weight: 1,
    pages: [
      { slug: "reference", title: "Reference", file: "docs/reference.md" },
      { slug: "sdk-reference", title: "SDK reference", file: "client/docs/api-reference.md" },
    ],
    links: [
      { title: "REST API", path: "/docs" },
      { title: "Events and frames", path: "/docs/events" },
      { title: "Problems", path: "/problems" },
    ],
  },
  {
    name: "Operate it",
    weight: 0.6,
    pages: [
      { slug: "operations", title: "Operations", file: "docs/operations.md" },
      { slug: "scaling", title: "Scaling", file: "docs/scaling.md" },
      { slug: "security", title: "Security", file: "docs/security.md" },
      { slug: "metrics", title: "Metrics", file: "docs/metrics.md" },
    ],
    links: [],
  },
  {
    name: "Understand it",
    weight: 0.4,
    pages: [
      { slug: "guarantees", title: "Guarantees", file: "docs/guarantees.md" },
      { slug: "chaos", title: "How they are proven", file: "docs/chaos.md" },
      { slug: "architecture", title: "Concepts", file: "docs/architecture.md" },
      { slug: "performance", title: "Performance", file: "docs/performance.md" },
      { slug: "decisions", title: "Decisions", file: "docs/decisions.md" },
    ],
    links: [],
  },
];

const root = new URL("../../", import.meta.url);

/** The menu. A page whose file an installation does not have is left out. */
export const GROUPS: readonly GuideGroup[] = ALL.map((group) => ({
  ...group,
  pages: group.pages.filter(({ file }) => existsSync(new URL(file, root))),
}));

/** All pages, in the order of the menu. */
export const GUIDE: readonly GuidePage[] = GROUPS.flatMap(({ pages }) => pages);

/** Where a server has a page. */
export const pathOfPage = ({ slug }: Pick<GuidePage, "slug">): string =>
  slug === "" ? "/guide" : `/guide/${slug}`;
