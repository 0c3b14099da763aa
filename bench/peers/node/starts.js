// What handlers under measurement write down; bench/starts.py says what and reads it back.
import fs from "node:fs";

const EVERY_NS = 5_000_000n;

// Nanoseconds of the wall clock: Date.now() has milliseconds only.
const origin = BigInt(Math.round(performance.timeOrigin * 1e6));
export const wallClock = () => origin + BigInt(Math.round(performance.now() * 1e6));

export function startWriter() {
  const file = fs.openSync(`${process.env.BENCH_STARTS_DIRECTORY}/${process.pid}`, "a");
  const each = process.env.BENCH_EACH_START === "1";
  let count = 0;
  let writtenAt = 0n;
  return (number) => {
    const now = wallClock();
    if (each) {
      fs.writeSync(file, `${now} ${number}\n`);
      return;
    }
    count += 1;
    if (now - writtenAt >= EVERY_NS) {
      fs.writeSync(file, `${now} ${count}\n`);
      writtenAt = now;
    }
  };
}
