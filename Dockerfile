# The image of every node, and of `migrate`. README.md (Run it in containers) says how to run it; `npm run image:check`
# builds and proves it. Base images are pinned by version; a release may pin their digests as well (`@sha256:…`, as
# `docker buildx imagetools inspect` prints them), at the price of an update for each rebuilt base.
FROM node:24.21.0-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
# Optional packages are for laptops: an embedded Postgres and a Node. No script runs: bcrypt brings its binaries. Node
# reads neither types nor source maps of packages, a third of their bytes.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund \
  && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.[cm]ts' \) -delete

# The browser's pages. The bundler is one of the optional packages, which the image does not have.
FROM packages AS web
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
COPY . ./
RUN node scripts/web.ts

# The C++ runtime, CA certificates and time zones: no shell, no package manager, no npm.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=packages /usr/local/bin/node /usr/local/bin/node
COPY --from=packages /app/node_modules /app/node_modules
# .dockerignore lists what is copied. The services are not built: Node strips the types of their TypeScript.
COPY . /app
COPY --from=web /app/web/dist /app/web/dist
WORKDIR /app

# All files belong to root, and nothing is written: the root may be read-only.
USER 65532:65532
ENV NODE_ENV=production HOST=0.0.0.0 OPS_PORT=9464
# The gateway, a notifier without a gateway, health and metrics.
EXPOSE 3000 3001 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["node", "scripts/healthcheck.ts"]
# Node is process 1. It handles SIGTERM itself (local/program.ts) and starts no processes, so it needs no init.
CMD ["node", "main.mjs"]

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Taskwire" \
  org.opencontainers.image.description="Realtime task-management backend" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12:nonroot"
