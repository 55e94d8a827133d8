const project = (name, more = {}) => ({
  displayName: name,
  testMatch: [`<rootDir>/test/${name}/**/*.test.ts`],
  testEnvironment: "<rootDir>/test/support/environment.ts",
  extensionsToTreatAsEsm: [".ts"],
  // Node strips the types itself.
  transform: {},
  ...more,
});

/** Real Postgres, NATS and Redis, started once for all projects that want them. */
const withServers = {
  globalSetup: "<rootDir>/test/support/global-setup.ts",
  globalTeardown: "<rootDir>/test/support/global-teardown.ts",
};

const pure = { statements: 85, branches: 85, functions: 85, lines: 85 };
const whole = { statements: 75, branches: 75, functions: 75, lines: 75 };

export default {
  projects: [
    project("unit"),
    project("contract", withServers),
    project("integration", withServers),
    project("cluster", withServers),
    project("e2e", withServers),
    project("browser", withServers),
  ],
  // For a machine that is slow, or that others use too.
  testTimeout: 120_000,
  maxWorkers: 2,
  // A worker that has run half of the files takes a while to give its memory back.
  workerGracefulExitTimeout: 10_000,
  // Counters in the code. V8's own coverage counts every module that a worker has ever loaded, and each test file loads its
  // own: it took half of the whole run.
  coverageProvider: "babel",
  coverageReporters: ["text", "json-summary"],
  collectCoverageFrom: [
    "{core,local,middlewares,migrations,mixins,services}/**/*.ts",
    "node.ts",
    "!**/*.contract.ts",
  ],
  // Floors (docs/decisions.md): what unit tests hold 85 %; what the integration tests hold 75 %; the rest, which whole programs
  // run, 60 %. scripts/coverage.ts holds 80 % of all together: Jest's "global" is the rest.
  coverageThreshold: {
    global: { statements: 60, branches: 60, functions: 60, lines: 60 },
    "./core/": pure,
    "./services/**/*.policy.ts": pure,
    "./services/notifier/stream-tail.ts": pure,
    "./services/tasks/tasks.{events,status}.ts": pure,
    "./mixins/": whole,
    "./services/": whole,
  },
};
