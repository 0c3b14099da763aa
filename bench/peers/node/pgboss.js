// pg-boss in batches of 100, four at once, at full speed while batches are full, woken by LISTEN/NOTIFY. PG* variables say where.
//   node pgboss.js prepare | fill JOBS FIRST_AT EVERY_SECONDS PRIORITY | work | submit
import { PgBoss } from "pg-boss";
import { startWriter } from "./starts.js";
import { submitFromInput } from "./submit.js";

const QUEUE = "nothing";
const BATCH = 10_000;
const { PGHOST: host, PGPORT: port, PGUSER: user, PGDATABASE: database } = process.env;

async function started(options) {
  const boss = new PgBoss({ host, port: Number(port), user, database, max: 10, ...options });
  boss.on("error", (error) => console.error(error));
  await boss.start();
  return boss;
}

const commands = {
  async prepare() {
    const boss = await started({});
    await boss.createQueue(QUEUE, { notify: true });
    await boss.stop();
  },
  async fill(jobs, firstAt, everySeconds, priority) {
    const boss = await started({ supervise: false, schedule: false });
    for (let first = 1; first <= jobs; first += BATCH) {
      const batch = [];
      for (let n = first; n < first + BATCH && n <= jobs; n += 1) {
        const at = firstAt === "now" ? {} : { startAfter: new Date(Date.parse(firstAt) + n * everySeconds * 1000) };
        batch.push({ data: { n }, priority: Number(priority), ...at });
      }
      await boss.insert(QUEUE, batch);
    }
    await boss.stop();
  },
  async work() {
    const record = startWriter();
    const boss = await started({ useListenNotify: true });
    const options = { batchSize: 100, localConcurrency: 4, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5, notifyPollingIntervalSeconds: 0.5 };
    await boss.work(QUEUE, options, async (jobs) => {
      for (const job of jobs) record(job.data.n);
      return { ok: true };
    });
    process.on("SIGTERM", () => process.exit(0));
  },
  async submit() {
    const boss = await started({ supervise: false, schedule: false });
    await submitFromInput((n) => boss.send(QUEUE, { n }));
    await boss.stop();
  },
};

const [command, ...rest] = process.argv.slice(2);
await commands[command](...rest);
