// Take webhooks of triggers once each: SECRET=whsec_… node receiver.mjs PORT. Keep `handled` where your work is kept.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const key = Buffer.from(process.env.SECRET.slice("whsec_".length), "base64");
const handled = new Set();
const verified = (headers, body) => {
  const [id, time] = [headers["webhook-id"], headers["webhook-timestamp"]];
  if (!id || !(Math.abs(Date.now() / 1000 - Number(time)) < 300)) return false; // an old call, played again
  const own = createHmac("sha256", key).update(`${id}.${time}.${body}`).digest();
  const signatures = (headers["webhook-signature"] ?? "").split(" ").filter((signature) => signature.startsWith("v1,"));
  const digests = signatures.map((signature) => Buffer.from(signature.slice(3), "base64"));
  return digests.some((digest) => digest.length === own.length && timingSafeEqual(digest, own));
};
createServer(async (request, response) => {
  const body = Buffer.concat(await request.toArray()).toString("utf8");
  const isGenuine = verified(request.headers, body);
  response.writeHead(isGenuine ? 204 : 401).end();
  if (!isGenuine || handled.has(request.headers["webhook-id"])) return; // forged, or a repeat under the id that it had
  handled.add(request.headers["webhook-id"]);
  const { type, data } = JSON.parse(body);
  console.log(request.headers["webhook-id"], type, data.change.customer_id, data.change.said?.en ?? "");
}).listen(Number(process.argv[2]), "127.0.0.1", () => console.log("listening"));
