// npm @fal-ai/client, unmodified: a middleware of its own configuration names the host.
const { fal, ValidationError, ApiError } = require("@fal-ai/client");
const { host, id, key, webhook } = JSON.parse(process.argv[2]);

function configure(credentials) {
  fal.config({
    credentials,
    requestMiddleware: async (request) => ({
      ...request,
      url: request.url
        .replace("https://queue.fal.run/", `https://${host}/queue/`)
        .replace("https://fal.run/", `https://${host}/run/`),
    }),
  });
}

async function refused(work) {
  try {
    return { value: await work() };
  } catch (error) {
    return {
      validation: error instanceof ValidationError,
      api: error instanceof ApiError,
      status: error.status,
      fields: error instanceof ValidationError ? error.fieldErrors.map((one) => one.loc) : [],
    };
  }
}

async function main() {
  configure(key);
  const said = {};
  const ran = await fal.run(id, { input: { n: 1 } });
  said.run = ran.data;
  const updates = [];
  const subscribed = await fal.subscribe(id, {
    input: { n: 2, seconds: 2 },
    logs: true,
    pollInterval: 200,
    onEnqueue: (requestId) => (said.enqueued = requestId),
    onQueueUpdate: (update) => updates.push(update),
  });
  said.subscribe = subscribed.data;
  said.requestId = subscribed.requestId;
  said.states = [...new Set(updates.map((update) => update.status))];
  said.logs = updates.at(-1).logs.map((line) => line.message);
  const { request_id: requestId } = await fal.queue.submit(id, {
    input: { n: 3 },
    webhookUrl: webhook,
  });
  await fal.queue.subscribeToStatus(id, { requestId, pollInterval: 200 });
  said.result = (await fal.queue.result(id, { requestId })).data;
  const late = await refused(() => fal.queue.cancel(id, { requestId }));
  const slow = await fal.queue.submit(id, { input: { n: 4, seconds: 5 } });
  await fal.queue.cancel(id, { requestId: slow.request_id });
  said.cancelled = await fal.queue.status(id, { requestId: slow.request_id });
  said.late = late;
  said.invalid = await refused(() => fal.subscribe(id, { input: { n: "many" }, pollInterval: 200 }));
  configure("nobody:nothing");
  said.unknown = await refused(() => fal.run(id, { input: { n: 1 } }));
  console.log(JSON.stringify(said));
}

main();
