// Runs the reporting snippet in a page that is none: says what it sent, as JSON on one line.
const fs = require("fs");
const sent = [], beacons = [], timers = [], listeners = {};
const on = (name, heard) => { (listeners[name] = listeners[name] || []).push(heard); };
const document = {
  currentScript: {
    src: "https://sextant.example/v1/snippet/report.js?1",
    dataset: {key: "sxt_pub_x", service: "exchange-online", region: "de", errors: ""},
  },
  visibilityState: "visible",
  addEventListener: on,
};
const window = {
  addEventListener: on,
  setTimeout: (run) => { timers.push(run); return timers.length; },
  clearTimeout: () => { timers.length = 0; },
  fetch: (url, options) => { sent.push({url, ...options}); return Promise.reject(new Error("down")); },
  navigator: {sendBeacon: (url, body) => { beacons.push({url, body}); return true; }},
};
new Function("window", "document", fs.readFileSync(process.argv[2], "utf8"))(window, document);
const told = {};
told.first = window.sextant.report({http_status: 503, message: "x".repeat(5000), cookie: "canary"});
told.same = window.sextant.report({http_status: 503, message: "x".repeat(5000)});
told.empty = window.sextant.report({});
told.answer = window.sextant.watch({status: 200});
window.sextant.watch({status: 504, headers: {get: () => "2000001;reason=\"x\""}});
listeners.error.forEach((heard) => heard({message: "boom"}));
timers.splice(0).forEach((run) => run());
listeners.unhandledrejection.forEach((heard) => heard({reason: new Error("AADSTS50196")}));
document.visibilityState = "hidden";
listeners.visibilitychange.forEach((heard) => heard());
for (let n = 0; n < 500; n += 1) { window.sextant.report({code: String(n)}); }
told.sent = sent; told.beacons = beacons;
setTimeout(() => console.log(JSON.stringify(told)), 0);
