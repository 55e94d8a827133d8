/**
 * `npm run doctor`: a line for each part that a node with this environment leans on, with what to do where it is not well.
 * It ends with 0 where a node can start, with 1 where a line says `fail`. It changes nothing.
 */
import { doctor, describeFindings } from "./doctor/doctor.ts";

const findings = await doctor(process.env);
console.log(describeFindings(findings));
// What hangs is not waited for.
process.exit(findings.some(({ level }) => level === "fail") ? 1 : 0);
