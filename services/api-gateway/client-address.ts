export * from "../../core/client-address.ts";
