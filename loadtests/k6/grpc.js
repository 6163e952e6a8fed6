// k6 run loadtests/k6/grpc.js: the gRPC path, transcoded by Envoy at the edge.
import { journey } from "./journey.js";
export { options } from "./journey.js";

export default function () {
  journey(__ENV.HOST || "localhost:8080", (answer) => answer.map((element) => element.value));
}
