// Drives docs/receivers/verify.mjs over cases from standard input, one verdict for each.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { verify, BadSignature } = await import(pathToFileURL(process.argv[2]));
const told = JSON.parse(readFileSync(0, "utf8")).map(({ key, headers, body, now }) => {
  try {
    return verify(key, headers, Buffer.from(body, "base64"), { now });
  } catch (error) {
    if (error instanceof BadSignature) return null;
    return `${error}`;
  }
});
console.log(JSON.stringify(told));
