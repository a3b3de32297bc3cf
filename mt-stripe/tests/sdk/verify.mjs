// Stripe's library for Node, asked over lines of JSON: one question a line, one answer a line.
// usage: node verify.mjs FOLDER-WITH-node_modules < questions > answers

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.argv[2]}/`);
const Stripe = require("stripe");
const { webhooks } = Stripe;

function answer({ op, secret, body, header, at }) {
  const bytes = Buffer.from(body, "base64");
  if (op === "sign") {
    const payload = bytes.toString("utf8");
    return { header: webhooks.generateTestHeaderString({ payload, secret, timestamp: at }) };
  }
  try {
    webhooks.signature.verifyHeader(bytes, header, secret, 300, undefined, at * 1000);
    return { accepts: true };
  } catch (error) {
    return { accepts: false, why: `${error.name}: ${error.message}`.slice(0, 200) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(answer(JSON.parse(line)))}\n`);
}
