// k6 run loadtests/k6/rest.js: the REST path, the same routes answered by the Sanic twins.
import { journey } from "./journey.js";
export { options } from "./journey.js";

export default function () {
  journey(__ENV.HOST || "localhost:8081", (answer) => answer.values);
}
