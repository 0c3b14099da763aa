// Graphile Worker with its local queue of 500, jobs completed in batches, 24 at once. PG* variables say where.
//   node graphile.js prepare | work | submit
import { makeWorkerUtils, run, Logger } from "graphile-worker";
import pg from "pg";
import { startWriter } from "./starts.js";
import { submitFromInput } from "./submit.js";

const logger = new Logger(() => () => {});
const pgPool = new pg.Pool({ max: 10 });
pgPool.on("error", () => {});
pgPool.on("connect", (client) => client.on("error", () => {}));

const commands = {
  async prepare() {
    const utils = await makeWorkerUtils({ pgPool, logger });
    await utils.migrate();
    await utils.release();
    await pgPool.end();
  },
  async work() {
    const record = startWriter();
    const preset = { worker: { concurrentJobs: 24, localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0, pollInterval: 500 } };
    const taskList = { nothing: async (payload) => record(payload.n) };
    const runner = await run({ pgPool, logger, preset, taskList, noHandleSignals: true });
    process.on("SIGTERM", () => process.exit(0));
    await runner.promise;
  },
  async submit() {
    const utils = await makeWorkerUtils({ pgPool, logger });
    await submitFromInput((n) => utils.addJob("nothing", { n }));
    await utils.release();
    await pgPool.end();
  },
};

const [command, ...rest] = process.argv.slice(2);
await commands[command](...rest);
