// Gateway P: JSON over HTTP in front, gRPC behind. A's answer and B's collected values, each with who they are from.
//
//     node gateway_grpc.js --a 127.0.0.1:50051 --b 127.0.0.1:50052 --descriptors pspd.binpb [--port 8080]
import { readFileSync } from "node:fs";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import cors from "cors";
import { fail, gateway, readArguments, serve } from "./gateway.js";

const given = { port: "8080", ...readArguments(["a", "b", "descriptors"]) };
const definition = protoLoader.loadFileDescriptorSetFromBuffer(readFileSync(given.descriptors), { keepCase: true, defaults: true });
const { pspd } = grpc.loadPackageDefinition(definition);
const a = new pspd.ServiceA(given.a, grpc.credentials.createInsecure());
const b = new pspd.ServiceB(given.b, grpc.credentials.createInsecure());
const app = gateway(cors());

app.get("/a/hello", (req, res) => {
  a.SayHello({ name: req.query.name ?? "mundo" }, (error, reply) => {
    if (error) return fail(res, error);
    res.json({ from: "A", message: reply.message });
  });
});

app.get("/b/numbers", (req, res) => {
  const values = [];
  // no deadline, and a client that leaves cancels nothing: as in the original
  const call = b.StreamNumbers({ count: Number(req.query.count ?? 5), delay_ms: Number(req.query.delay_ms ?? 0) });
  call.on("data", (reply) => values.push(reply.value));
  call.on("error", (error) => fail(res, error));
  call.on("end", () => {
    if (!res.headersSent) res.json({ from: "B", values }); // a call that failed ends too, after its error
  });
});

serve(app, "gateway-grpc", given);
