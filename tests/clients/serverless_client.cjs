// npm @fal-ai/serverless-client, unmodified: told of nothing but a host and a key.
const fal = require("@fal-ai/serverless-client");
const { ids, key } = JSON.parse(process.argv[2]);

fal.config({ credentials: key });

async function refused(work) {
  try {
    return { value: await work() };
  } catch (error) {
    return { name: error.name, status: error.status, body: error.body };
  }
}

async function main() {
  const said = {};
  for (const [name, id] of Object.entries(ids)) {
    const updates = [];
    said[name] = {
      run: await fal.run(id, { input: { n: 1 } }),
      subscribe: await fal.subscribe(id, {
        input: { n: 2, seconds: 2 },
        logs: true,
        pollInterval: 200,
        onQueueUpdate: (update) => updates.push(update),
      }),
    };
    said[name].states = [...new Set(updates.map((update) => update.status))];
    said[name].logs = updates.at(-1).logs.map((line) => line.message);
    const { request_id } = await fal.queue.submit(id, { input: { n: 3 } });
    let status;
    do {
      status = await fal.queue.status(id, { requestId: request_id });
    } while (status.status !== "COMPLETED");
    said[name].result = await fal.queue.result(id, { requestId: request_id });
  }
  const { alias } = ids;
  said.invalid = await refused(() => fal.run(alias, { input: { n: "many" } }));
  said.queued = await refused(() => fal.subscribe(alias, { input: { n: "many" }, pollInterval: 200 }));
  fal.config({ credentials: "nobody:nothing" });
  said.unknown = await refused(() => fal.run(alias, { input: { n: 1 } }));
  console.log(JSON.stringify(said));
}

main();
