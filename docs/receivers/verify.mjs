// Verify a webhook of Sextant (Standard Webhooks 1.0). Copy this file; it needs nothing but Node 18.
import { createHmac, createPublicKey, timingSafeEqual, verify as checkSignature } from "node:crypto";

/** The one error for everything that is not a genuine, timely message. */
export class BadSignature extends Error {}

const ED25519_PREFIX = Buffer.from("302a300506032b6570032100", "hex"); // SubjectPublicKeyInfo of a raw key

/**
 * Check a message and give its id.
 * @param {string} key the whsec_… secret of the subscription, or its whpk_… public key (v1a)
 * @param {Record<string, string>} headers of the request, names in any case
 * @param {Buffer} body the raw bytes, before any parsing
 */
export function verify(key, headers, body, { tolerance = 300, now = Date.now() / 1000 } = {}) {
  const named = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]));
  const id = named.get("webhook-id") ?? "";
  const stamp = named.get("webhook-timestamp") ?? "";
  if (!id || id.includes(".") || !wellFormed(id) || !/^[0-9]{1,12}$/.test(stamp)) {
    throw new BadSignature("a header is missing or malformed");
  }
  if (Math.abs(now - Number(stamp)) > tolerance) throw new BadSignature("too old or too new");
  const signed = Buffer.concat([Buffer.from(`${id}.${stamp}.`, "utf8"), body]);
  const fits = key.startsWith("whpk_") ? byPublicKey(key, signed) : bySecret(key, signed);
  let matched = false;
  for (const part of (named.get("webhook-signature") ?? "").split(" ").slice(0, 16)) {
    const comma = part.indexOf(",");
    if (comma < 0) continue;
    const signature = decode(part.slice(comma + 1));
    if (signature !== null && fits(part.slice(0, comma), signature)) matched = true;
  }
  if (!matched) throw new BadSignature("no signature matches");
  return id;
}

function bySecret(key, signed) {
  const raw = Buffer.from(key.replace(/^whsec_/, ""), "base64");
  const expected = createHmac("sha256", raw).update(signed).digest();
  return (version, given) =>
    version === "v1" && given.length === expected.length && timingSafeEqual(given, expected);
}

function byPublicKey(key, signed) {
  const raw = Buffer.from(key.replace(/^whpk_/, ""), "base64");
  const der = Buffer.concat([ED25519_PREFIX, raw]);
  const publicKey = createPublicKey({ key: der, format: "der", type: "spki" });
  return (version, given) => version === "v1a" && checkSignature(null, signed, publicKey, given);
}

// Buffer.from passes over what is not base64; a signature that does is malformed.
function decode(text) {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) return null;
  return Buffer.from(text, "base64");
}

function wellFormed(text) {
  return Buffer.from(text, "utf8").toString("utf8") === text;
}
