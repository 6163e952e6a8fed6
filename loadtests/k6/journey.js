// What one user does again and again, for both paths' scripts: the journey of the original report (one greeting, then ten
// numbers, 5 ms apart), or one of its two calls. `-e NAME=value` says what is not as in the report:
//   USERS 100   DURATION 30s   HOST localhost:8080 (8081)   JOURNEY report | a | b   COUNT 10   DELAY_MS 5
//   TIMEOUT 60s (of a call)   TRACEPARENT (sent with every call, as it is)
import http from "k6/http";
import { check } from "k6";
import { Counter } from "k6/metrics";

export const options = {
  vus: Number(__ENV.USERS || 100),
  duration: __ENV.DURATION || "30s",
  thresholds: { checks: ["rate==1"], http_req_failed: ["rate==0"] }, // one failed call fails the run
  summaryTrendStats: ["avg", "min", "med", "p(95)", "p(99)", "max"],
};

const JOURNEYS = { report: [hello, numbers], a: [hello], b: [numbers] };
const calls = JOURNEYS[__ENV.JOURNEY || "report"];
if (!calls) throw new Error(`JOURNEY is ${__ENV.JOURNEY}; it may be ${Object.keys(JOURNEYS).join(", ")}`);

const count = Number(__ENV.COUNT || 10);
const delay = Number(__ENV.DELAY_MS || 5);
const counted = Array.from({ length: count }, (_, index) => index + 1).join();
const headers = __ENV.TRACEPARENT ? { traceparent: __ENV.TRACEPARENT } : {};

// calls that failed, by k6's number for the cause (https://grafana.com/docs/k6/latest/javascript-api/error-codes/). A metric
// cannot be made later than here; those that stay empty are not in the summary.
const CAUSES = [1000, 1010, 1050, 1200, 1201, 1202, 1210, 1211, 1212, 1213, 1220, 1400, 1404, 1408, 1429, 1499, 1500, 1502, 1503, 1504];
const failed = Object.fromEntries(CAUSES.map((code) => [code, new Counter(`failed_${code}`)]));
const failedOtherwise = new Counter("failed_otherwise");
const wrong = new Counter("failed_wrong_answer");

export function journey(host, valuesOf) {
  for (const call of calls) call(host, valuesOf);
}

function hello(host) {
  const answer = get(host, "/a/hello", "name=pspd");
  judge(answer, "A greets pspd", (r) => r.json("message").startsWith("Olá, pspd!"));
}

function numbers(host, valuesOf) {
  const answer = get(host, "/b/numbers", `count=${count}&delay_ms=${delay}`);
  judge(answer, "B counts", (r) => valuesOf(r.json()).join() === counted);
}

function get(host, route, query) {
  return http.get(`http://${host}${route}?${query}`, { headers, timeout: __ENV.TIMEOUT || "60s", tags: { name: route } });
}

function judge(answer, says, isRight) {
  const right = check(answer, { [says]: (r) => r.status === 200 && holds(isRight, r) });
  if (!right) (answer.error_code ? failed[answer.error_code] || failedOtherwise : wrong).add(1);
}

// an answer of another shape is a wrong one, and no reason to leave the journey
function holds(isRight, answer) {
  try {
    return isRight(answer);
  } catch {
    return false;
  }
}
