// Submits one job for each line on standard input, its number, and answers with the moment after the commit.
import readline from "node:readline";
import { wallClock } from "./starts.js";

export async function submitFromInput(submit) {
  process.stdout.write("ready\n");
  for await (const line of readline.createInterface({ input: process.stdin })) {
    await submit(Number(line));
    process.stdout.write(`${wallClock()}\n`);
  }
}
