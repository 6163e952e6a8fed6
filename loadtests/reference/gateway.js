// What both gateways share: their arguments, the log of requests, errors as JSON, and their end.
//
// Rules: 127.0.0.1 only; port 0 becomes a free one; one line says where it listens. With --end-with-stdin the process ends
// when its standard input closes, which it does when whoever started it is gone.
import { parseArgs } from "node:util";
import express from "express";
import morgan from "morgan";

export function readArguments(names) {
  const strings = Object.fromEntries(["port", ...names].map((name) => [name, { type: "string" }]));
  try {
    const { values } = parseArgs({ options: { ...strings, "end-with-stdin": { type: "boolean", default: false } } });
    const missing = names.filter((name) => !values[name]);
    if (missing.length) throw new Error(`needs --${missing.join(" and --")}`);
    return values;
  } catch (error) {
    return end(error.message);
  }
}

export function gateway(...middleware) {
  const app = express();
  for (const each of middleware) app.use(each);
  app.use(morgan("dev"));
  app.get("/healthz", (_req, res) => res.send("ok"));
  return app;
}

export function fail(res, error) {
  if (!res.headersSent) res.status(500).json({ error: error.message });
}

export function serve(app, name, { port, "end-with-stdin": endWithStdin }) {
  // the last in the chain, and known to express as the one for errors by its four parameters
  app.use((error, _req, res, _next) => fail(res, error));
  const server = app.listen(Number(port), "127.0.0.1", (error) => {
    // express 4 has no such parameter, express 5 hands the error of listening over
    if (error) end(`cannot listen on 127.0.0.1:${port}: ${error.code}; choose another with --port`);
    console.log(`${name} listens on 127.0.0.1:${server.address().port}`);
  });
  if (endWithStdin) process.stdin.on("end", () => process.exit(0)).resume();
}

function end(sentence) {
  console.error(sentence);
  process.exit(1);
}
