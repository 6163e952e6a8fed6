// The journey of the original report: one greeting, then ten numbers, 5 ms apart. Shared by both paths' scripts.
import http from "k6/http";
import { check } from "k6";

// as in the report, but for what `-e USERS=... -e DURATION=...` says
export const options = {
  vus: Number(__ENV.USERS || 100),
  duration: __ENV.DURATION || "30s",
  thresholds: { checks: ["rate==1"], http_req_failed: ["rate==0"] }, // one failed call fails the run
  summaryTrendStats: ["avg", "med", "p(95)", "p(99)", "max"],
};

export function journey(host, isTen) {
  const hello = http.get(`http://${host}/a/hello?name=pspd`, { tags: { name: "/a/hello" } });
  check(hello, { "A greets pspd": (r) => r.status === 200 && r.json("message").startsWith("Olá, pspd!") });
  const numbers = http.get(`http://${host}/b/numbers?count=10&delay_ms=5`, { tags: { name: "/b/numbers" } });
  check(numbers, { "B counts to ten": (r) => r.status === 200 && isTen(r.json()) });
}
