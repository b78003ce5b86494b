// Take webhooks of triggers once each: SECRET=whsec_… node receiver.mjs PORT. Keep `seen` where your work is kept.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const key = Buffer.from(process.env.SECRET.slice("whsec_".length), "base64");
const seen = new Set();
const verified = (headers, body) => {
  const [id, time] = [headers["webhook-id"], headers["webhook-timestamp"]];
  if (!id || !(Math.abs(Date.now() / 1000 - Number(time)) < 300)) return false; // an old call, played again
  const own = createHmac("sha256", key).update(`${id}.${time}.${body}`).digest();
  const given = (headers["webhook-signature"] ?? "").split(" ").filter((one) => one.startsWith("v1,"));
  return given.map((one) => Buffer.from(one.slice(3), "base64")).some((one) => one.length === own.length && timingSafeEqual(one, own));
};
createServer(async (request, response) => {
  const body = Buffer.concat(await request.toArray()).toString("utf8");
  const known = verified(request.headers, body);
  response.writeHead(known ? 204 : 401).end();
  if (!known || seen.has(request.headers["webhook-id"])) return; // forged, or a repeat under the id that it had
  seen.add(request.headers["webhook-id"]);
  const { type, data } = JSON.parse(body);
  console.log(request.headers["webhook-id"], type, data.change.customer_id, data.change.said?.en ?? "");
}).listen(Number(process.argv[2]), "127.0.0.1", () => console.log("listening"));
