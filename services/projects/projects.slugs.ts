import { randomInt } from "node:crypto";
import slugify from "@sindresorhus/slugify";
import { invalidField, type Problem, takenField } from "../../core/errors.ts";
import { isId } from "../../core/ids.ts";
import type { Queryable } from "../../mixins/database.ts";
import { violatedConstraint } from "../../mixins/database-errors.ts";

/** Characters of a slug made from a name. A suffix takes five more, and a slug has 64 at most. */
const MADE_SLUG_CHARS = 59;

const isSlugTaken = (error: unknown): boolean => violatedConstraint(error) === "projects_slug_key";
const slugTaken = (): Problem => takenField("slug", "This slug is taken");

/** @throws Problem validation-failed for a slug that a path would take for an id */
export function mustBeSlug(slug: string | undefined): void {
  if (slug !== undefined && isId(slug)) throw invalidField("slug", "pattern", "A slug can't look like an id");
}

/** A failed write, as its caller may see it. */
export const slugProblem = (error: unknown): unknown => (isSlugTaken(error) ? slugTaken() : error);

/** The slugs to try for a new project: the caller's own alone, or the name's, then the name's with four random characters. */
function candidates(name: string, wanted: string | undefined): string[] {
  if (wanted !== undefined) return [wanted];
  const base = slugify(name).slice(0, MADE_SLUG_CHARS).replace(/-+$/, "") || "project";
  const suffixed = () =>
    `${base}-${randomInt(36 ** 4)
      .toString(36)
      .padStart(4, "0")}`;
  return [isId(base) ? suffixed() : base, suffixed(), suffixed()];
}

/**
 * Runs `write` with one slug after another until one is free.
 * @throws Problem already-exists
 */
export async function withFreeSlug<Result>(
  name: string,
  wanted: string | undefined,
  write: (slug: string) => Promise<Result>,
): Promise<Result> {
  for (const slug of candidates(name, wanted)) {
    try {
      return await write(slug);
    } catch (error) {
      if (!isSlugTaken(error)) throw error;
    }
  }
  throw slugTaken();
}

/** The first of `slug`, `slug-2`, `slug-3` … that no project has. Plan: projects_slug_key. */
export async function findFreeSlug(tx: Queryable, slug: string): Promise<string> {
  const [free] = await tx.query<{ slug: string }>({
    name: "projects-free-slug",
    text: `SELECT c.slug FROM (
             SELECT $1::text AS slug, 1 AS n
             UNION ALL SELECT rtrim(left($1::text, 60), '-') || '-' || n, n FROM generate_series(2, 999) AS n) c
           WHERE NOT EXISTS (SELECT FROM projects.projects p WHERE p.slug = c.slug AND p.deleted_at IS NULL)
           ORDER BY c.n LIMIT 1`,
    values: [slug],
  });
  return free?.slug ?? slug;
}
