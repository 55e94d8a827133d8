/**
 * A live board in a terminal.
 *
 *     node board.ts https://tasks.example.com <personal access token> <project id>
 *
 * A line adds a task. `> 2` takes the second task of the list a step on, `x 2` deletes it.
 */
import { createInterface } from "node:readline";
import { createClient, type Status, type Task } from "@taskwire/client";

const [url, token, id] = process.argv.slice(2);
if (url === undefined || token === undefined || id === undefined)
  throw new Error("board.ts <url> <token> <project id>");

const client = createClient({ url, token });
const board = client.project(id);
const NEXT: Partial<Record<Status, Status>> = { pending: "in_progress", in_progress: "completed" };
const OPEN = ["pending", "in_progress", "completed"] as const;

/** The tasks as they are numbered. */
const listed = (): Task[] => OPEN.flatMap((status) => board.getSnapshot().columns[status]);

function draw(): void {
  const { project, columns, members, changes, waiting, status, problem } = board.getSnapshot();
  const lines = [`${project?.name ?? id}  (${status}, ${client.connection.status}, ${waiting} waiting)`];
  let number = 0;
  for (const name of OPEN) {
    lines.push("", name.toUpperCase());
    for (const task of columns[name]) {
      const assignee = task.assigned_to === null ? "" : ` @${members.get(task.assigned_to)?.username ?? "?"}`;
      lines.push(`${String((number += 1)).padStart(3)}  ${task.title}${assignee}`);
    }
  }
  for (const change of changes)
    if (change.problem !== null) lines.push("", `${change.kind} was refused: ${change.problem.detail}`);
  if (problem !== null) lines.push("", problem.detail);
  console.log(`${process.stdout.isTTY ? "\u001b[2J\u001b[H" : ""}${lines.join("\n")}\n`);
}

board.subscribe(draw);
client.on("connection", draw);

const input = createInterface({ input: process.stdin });
input.on("line", (line) => {
  const [, command, number] = /^([>x]) *(\d+)$/.exec(line) ?? [];
  const task = listed()[Number(number) - 1];
  if (command === undefined) {
    if (line.trim() !== "") board.create({ title: line });
  } else if (task === undefined) console.log(`There is no task ${number}`);
  else if (command === "x") board.delete(task.id);
  else board.transition(task.id, NEXT[task.status] ?? "archived");
});
input.on("close", () => void client.close());
