// End a search half way from Node: npm install, then node stop.mjs 127.0.0.1:50051 stop|cancel [BUDGET]
// After its first plan, `stop` has the server answer with the best so far; `cancel` gives up.
// Prints one JSON object: the events of the stream, how it ended, and the result if there is one.
import { randomUUID } from "node:crypto";
import path from "node:path";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const protos = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../proto");
const definition = protoLoader.loadSync("solver/api/v1/optimizer_service.proto", {
  includeDirs: [protos],
  keepCase: true,
  enums: String,
  longs: Number,
  oneofs: true,
});
const { OptimizerService } = grpc.loadPackageDefinition(definition).solver.api.v1;

const [server, way, budget = "300000"] = process.argv.slice(2);
const client = new OptimizerService(server, grpc.credentials.createInsecure());
const deadline = () => new Date(Date.now() + 30_000);

const requestId = randomUUID(); // whoever knows it can stop the search
const metadata = new grpc.Metadata();
metadata.set("x-request-id", requestId);

const request = { problem: { limits: { budget_cny: Number(budget) } }, options: { prune: false } };
const call = client.StreamOptimize(request, metadata, { deadline: deadline() });
const events = [];
let result = null;
let stopped = null;
call.on("data", (event) => {
  events.push(event.event);
  if (event.event === "result") result = event.result;
  if (events.length > 1 || event.event !== "incumbent") return;
  if (way === "cancel") {
    call.cancel();
  } else {
    client.StopSearch({ request_id: requestId }, { deadline: deadline() }, (error, response) => {
      stopped = error ? error.details : response.stopped;
    });
  }
});
call.on("error", () => {}); // "status" tells it
call.on("status", (status) => {
  console.log(JSON.stringify({ events, code: status.code, result, stopped }, null, 2));
  client.close();
});
