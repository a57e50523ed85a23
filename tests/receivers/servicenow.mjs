// Runs docs/receivers/servicenow.js against a shim of the platform, one answer for each case.
// The shim has the documented words that the script uses: no instance was at hand.
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import vm from "node:vm";

const script = readFileSync(process.argv[2], "utf8");
const tables = { u_sextant_seen: [], em_event: [] };

class GlideRecord {
  constructor(table) { this.table = table; this.row = {}; }
  initialize() { this.row = {}; }
  setValue(name, value) { this.row[name] = value; }
  insert() {
    const id = this.row.u_webhook_id;
    if (id !== undefined && tables[this.table].some((row) => row.u_webhook_id === id)) return null;
    tables[this.table].push(this.row);
    return "sys_id";
  }
}

const answers = JSON.parse(readFileSync(0, "utf8")).map(({ key, headers, body, now }) => {
  const named = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  const told = { status: 200 };
  const request = {
    body: { dataString: Buffer.from(body, "base64").toString("utf8") },
    getHeader: (name) => named.get(name) ?? null,
  };
  const response = { setStatus: (status) => { told.status = status; }, setBody: () => {} };
  class GlideDateTime { getNumericValue() { return now * 1000; } }
  class CertificateEncryption {
    generateMac(secret, algorithm, text) {
      if (algorithm !== "HmacSHA256") throw new Error(algorithm);
      return createHmac("sha256", Buffer.from(secret, "base64")).update(text, "utf8").digest("base64");
    }
  }
  const gs = { getProperty: () => key };
  vm.runInNewContext(script, { request, response, gs, GlideRecord, GlideDateTime, CertificateEncryption });
  return told.status;
});
console.log(JSON.stringify({ answers, tables }));
