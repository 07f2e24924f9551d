// Ask a solver server from Node: npm install, then node ask.mjs 127.0.0.1:50051 [BUDGET]
// Prints one JSON object: the streamed plans, the answer, and how a wrong question is refused.
import path from "node:path";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const protos = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../proto");
const definition = protoLoader.loadSync("solver/api/v1/optimizer_service.proto", {
  includeDirs: [protos],
  keepCase: true, // limits.budget_cny, as in the .proto
  enums: String,
  longs: Number,
  oneofs: true,
});
const { OptimizerService } = grpc.loadPackageDefinition(definition).solver.api.v1;

const [server, budget = "300000"] = process.argv.slice(2);
const client = new OptimizerService(server, grpc.credentials.createInsecure());
const deadline = () => new Date(Date.now() + 30_000); // the search gets 95 % of what is left of it

const question = { problem: { goal: "GOAL_BATCH", limits: { budget_cny: Number(budget) } } };

const unary = (method, request) =>
  new Promise((resolve, reject) => {
    client[method](request, { deadline: deadline() }, (error, response) => (error ? reject(error) : resolve(response)));
  });

const streamed = (request) =>
  new Promise((resolve, reject) => {
    const events = [];
    client
      .StreamOptimize(request, { deadline: deadline() })
      .on("data", (event) => events.push(event.event))
      .on("error", reject)
      .on("end", () => resolve(events));
  });

const { result } = await unary("Optimize", question);
const events = await streamed(question);
const { report } = await unary("CheckPlan", { ...question, card: "rtx-4090-blower", count: 4, power_limit_w: 450 });
const { cards } = await unary("ListCards", {});
const refused = await unary("Optimize", { problem: { limits: { budget_cny: -1 } } }).then(
  () => null,
  (error) => ({ code: error.code, details: error.details }),
);
console.log(JSON.stringify({ result, events, report, cards: cards.map((card) => card.id), refused }, null, 2));
client.close();
