// Gateway P-REST: JSON over HTTP in front and behind.
//
//     node gateway_rest.js --a 127.0.0.1:50061 --b 127.0.0.1:50062 [--port 8081]
import fetch from "node-fetch";
import { gateway, readArguments, serve } from "./gateway.js";

const given = { port: "8081", ...readArguments(["a", "b"]) };
const app = gateway();

app.get("/a/hello", async (req, res) => {
  res.json(await ask(given.a, "/a/hello", { name: req.query.name ?? "mundo" }));
});

app.get("/b/numbers", async (req, res) => {
  const { count = "5", delay_ms = "0" } = req.query;
  res.json(await ask(given.b, "/b/numbers", { count, delay_ms }));
});

async function ask(address, path, query) {
  const answer = await fetch(`http://${address}${path}?${new URLSearchParams(query)}`);
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}

serve(app, "gateway-rest", given);
