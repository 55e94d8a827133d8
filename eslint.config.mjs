import js from "@eslint/js";
import prettier from "eslint-config-prettier";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

const RAW_CALLS = {
  selector:
    "CallExpression[callee.property.name=/^(call|mcall|emit|broadcast|broadcastLocal)$/][callee.object.name=/^(ctx|broker)$/], " +
    "CallExpression[callee.property.name=/^(call|mcall|emit|broadcast|broadcastLocal)$/][callee.object.property.name='broker']",
  message:
    "Calls and hints go through core/kit.ts, typed by their contracts: users.call(ctx, …), emit(broker, …).",
};

const borders = (message, ...regex) => ({
  "no-restricted-imports": ["error", { patterns: regex.map((pattern) => ({ regex: pattern, message })) }],
});

export default defineConfig(
  { ignores: ["client/dist/", "web/dist/", "site/", "coverage/", ".data/", "node_modules/"] },
  js.configs.recommended,
  tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: { allowDefaultProject: ["*.mjs", "scripts/*.mjs"] } },
    },
    rules: {
      "no-restricted-syntax": ["error", RAW_CALLS],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      // Code checks the data of a socket or a query where it arrives, not where it passes it on.
      "@typescript-eslint/only-throw-error": "off",
      "@typescript-eslint/prefer-promise-reject-errors": "off",
      "@typescript-eslint/require-await": "off",
      eqeqeq: ["error", "always", { null: "ignore" }],
    },
  },
  { files: ["core/kit.ts"], rules: { "no-restricted-syntax": "off" } },
  {
    files: ["core/**"],
    rules: borders(
      "core imports nothing of the services, mixins or tools.",
      "/(services|mixins|middlewares|local|scripts)/",
    ),
  },
  {
    files: ["mixins/**", "middlewares/**"],
    rules: borders("mixins and middlewares import core alone.", "/(services|local|scripts)/"),
  },
  {
    files: ["services/*/**"],
    rules: borders(
      "A service imports core, mixins and other services' *.contract.ts and *.answers.ts, and nothing else of theirs.",
      "^\\.\\./(?!\\.\\.)[^/]+/(?!.*\\.(contract|answers)\\.ts$)",
      "/(local|scripts|middlewares|migrations)/",
    ),
  },
  {
    // Data from the wire has no type until a test asserts one.
    files: ["test/**"],
    rules: {
      "@typescript-eslint/no-explicit-any": "off",
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-call": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-return": "off",
      "@typescript-eslint/no-unnecessary-type-assertion": "off",
    },
  },
  {
    files: ["**/*.mjs"],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { globals: { process: "readonly", console: "readonly" } },
  },
  {
    // These files run in browsers unchanged.
    files: ["services/api-gateway/mail-links/*.js"],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: {
      globals: {
        document: "readonly",
        location: "readonly",
        history: "readonly",
        fetch: "readonly",
        URLSearchParams: "readonly",
      },
    },
  },
  {
    // Scripts of k6: `tsc -p loadtest` checks them.
    files: ["loadtest/**/*.js"],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { globals: { __ENV: "readonly" } },
  },
  {
    // An ambient module has no other way to a relative one.
    files: ["loadtest/runner/surface.d.ts"],
    rules: {
      "@typescript-eslint/consistent-type-imports": ["error", { disallowTypeAnnotations: false }],
    },
  },
  prettier,
);
